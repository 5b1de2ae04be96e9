"""What a run of a sweep is told apart by: its validation score, never a number of test images or of target labels."""

from studio.core.errors import UsageError
from studio.core.registry import task_named
from studio.store import RunFolder

ORACLE = "oracle:"


def validation_scores(run: RunFolder) -> list[float]:
    """After each epoch, by which the run itself keeps its best one; larger is better."""
    return [event["value"] for event in run.events() if event["kind"] == "scalar" and event["name"] == "val/score"]


def score_of(run: RunFolder, metric: str | None = None) -> float:
    """The best validation score of a finished run; without epochs, the task's first headline where it is of
    validation images or episodes. `metric` names another number; with `oracle:` before it, one of test images too.

    Raises UsageError where there is no such number, or it is of images that choose nothing.
    """
    scores, metrics, recipe = validation_scores(run), run.metrics() or {}, run.recipe()
    if metric is None and scores:
        return max(scores)
    name = (metric or next(iter(task_named(recipe.task).headlines), "accuracy")).removeprefix(ORACLE)
    if not isinstance(metrics.get(name), (int, float)):
        numbers = ", ".join(key for key, value in metrics.items() if isinstance(value, (int, float)))
        raise UsageError(f"--metric: run {run.id} has no number {name!r}; it has {numbers}.")
    words = str(metrics.get("scored_on", "test"))
    chooses = "test" not in words and words.startswith(("val", "episodes")) or "-fold" in words
    if not chooses and not (metric or "").startswith(ORACLE):
        raise UsageError(
            f"{name} of run {run.id} is of test images, which choose nothing. Leave data.test out, or say that it may: "
            f"--metric {ORACLE}{name}"
        )
    return float(metrics[name])
