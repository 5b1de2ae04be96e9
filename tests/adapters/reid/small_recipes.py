"""A recipe small enough for a test: drawn individuals of 32 pixels and a network that is made for them."""

from studio.core import recipe as recipes
from studio.core.home import Home
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store

DATA = "builtin:individuals?individuals=12&cameras=2&views=2&size=32"
FROZEN = {
    "task": "reid", "method": "reid/frozen", "model": {"backbone": "studio/osnet?width=8", "image_size": 32},
    "data": {"train": DATA}, "train": {"workers": 0},
}  # fmt: skip
TRAINED = {
    **FROZEN,
    "method": "reid/baseline",
    "train": {"epochs": 1, "batch_size": 8, "per_identity": 2, "workers": 0},
}


def work(values: dict, home: Home):
    """The run of a recipe, and its result."""
    run = submit(recipes.parse(values), Store(home))
    return run, run_inline(run, home)


def changed(base: dict, **sections) -> dict:
    return {**base, **{name: {**base.get(name, {}), **values} for name, values in sections.items()}}
