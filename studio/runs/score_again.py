"""A checkpoint scored again on other data: a run of its own recipe that trains nothing."""

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.faces import Learner
from studio.core.home import Home
from studio.runs.executors import run_inline
from studio.runs.runner import Result, submit
from studio.store import Manifest, Store

TRUTHS = ("labels", "boxes", "masks")


def can_be_scored(manifest: Manifest) -> bool:
    """Whether it is one that was trained on one domain and names, finds or draws classes."""
    cls = registry.get(manifest.method)
    trained = issubclass(cls, Learner) and not cls.adapts()
    return trained and bool(manifest.classes) and registry.task_named(manifest.task).truth in TRUTHS


def score_again(name: str, spec: str, test: str, home: Home) -> Result:
    """The run that scores checkpoint `name` on all of `test`; `spec` are the same images, which say its classes.

    Raises UsageError where the classes are others, and as filing a run does; what fails in the run is in the Result.
    """
    store = Store(home)
    manifest = store.checkpoint(name).manifest
    kept = manifest.recipe
    values = {
        "task": manifest.task, "method": manifest.method, "params": manifest.params,
        "model": {**kept.get("model", {}), "checkpoint": name}, "data": {"train": spec, "test": test},
        "train": {"epochs": 0}, "eval": kept.get("eval", {}), "device": kept.get("device", "auto"),
    }  # fmt: skip
    return run_inline(submit(recipes.parse(values), store), home)
