"""What a deep alignment shows of itself: numbers beside source only, tables and figures."""

from typing import Any

import numpy as np

from adapters.align.deep.run.judging import Look, Splits, evenly
from adapters.rank.gaps.a_distance import a_distance
from studio.core.errors import DataError
from studio.core.procedure import Job
from studio.figures import confusion_figure, curves_figure, per_class_figure, tsne_figure
from studio.metrics import classification_report, confusion, per_class

MAPPED = 150  # images a domain on the map
CHANGED = 50  # images named whose class changed
FOLDED = 10  # images a domain below which it says nothing
MEASURED = 300  # images a domain of which the A-distance learns


def on_target(looks: dict[str, Look], splits: Splits, known: int) -> dict[str, Any]:
    """Accuracy on what is scored; `known` are the source's classes, what lies beyond is unknown. Empty without labels.

    In an open set, accuracy of the known classes (mean over them), that of the unknown, and their harmonic mean, the
    H-score (Fu et al. 2020).
    """
    if splits.test is None:
        return {"target_accuracy": None}
    look, labels = looks["test"], splits.test.dataset.labels
    guesses = look.guesses
    report = classification_report(look.probabilities, labels) if labels.max() < look.logits.shape[1] else {}
    rows = labels >= 0
    of_class = {int(label): float((guesses == label)[labels == label].mean()) for label in np.unique(labels[rows])}
    numbers: dict[str, Any] = {
        "target_accuracy": float((guesses == labels)[rows].mean()),
        "target_class_mean": float(np.mean(list(of_class.values()))),
        "scored_on": int(rows.sum()),
    }
    if "accuracy_ci95" in report:
        numbers["target_accuracy_ci95"] = report["accuracy_ci95"]
    if known in of_class:
        seen = float(np.mean([share for label, share in of_class.items() if label < known]))
        unseen = of_class[known]
        both = 2 * seen * unseen / (seen + unseen) if seen + unseen else 0.0
        numbers |= {"known_accuracy": seen, "unknown_accuracy": unseen, "h_score": both}
    return numbers


def show(
    job: Job, splits: Splits, classes: list[str], history: list[dict[str, float]], metrics: dict[str, Any],
    now: dict[str, Look], before: dict[str, Look] | None, title: str,
) -> None:  # fmt: skip
    """Figures and tables of the looks `now`, at `val`, `target` and `test`, beside those `before` alignment."""
    rows = [["source only", metrics.get("source_only_accuracy")], [title, metrics["target_accuracy"]]]
    job.table(
        "accuracy on the target", ["what", "accuracy"],
        [[name, None if value is None else round(value, 4)] for name, value in rows],
    )  # fmt: skip
    if history and "accuracy" in history[0]:
        job.figure("curves", curves_figure(history))
    job.figure("before-and-after", _map(job, splits, classes, now, before))
    if splits.test is not None:
        labels, guesses = splits.test.dataset.labels, now["test"].guesses
        names = splits.test.dataset.classes if len(splits.test.dataset.classes) > len(classes) else classes
        counts = confusion(labels, guesses, len(names))
        job.figure("confusion", confusion_figure(counts, names))
        job.figure("classes", per_class_figure(counts, names))
        job.table("per class", ["class", "precision", "recall", "f1", "images"], per_class(labels, guesses, names))
    if before is not None:
        _changed(job, splits, classes, now["target"], before["target"])
    named = {} if splits.train is None else {"source": splits.train.dataset.labels}
    named |= {} if before is None else {"target, source only": before["target"].guesses}
    named["target, now"] = now["target"].guesses
    job.table("class shift", ["class", *named], class_shift(list(named.values()), [*classes, "unknown"]))


def distances(job: Job, now: dict[str, Look], before: dict[str, Look] | None) -> dict[str, float]:
    """The proxy A-distance between source and target, aligned and before; 0 where they can't be told apart."""
    if "val" not in now:
        return {}
    named = {"a_distance": now, "source_only_a_distance": before}
    rows = {part: evenly(len(now[part].features), MEASURED) for part in ("val", "target")}
    if min(map(len, rows.values())) < FOLDED:
        return {}
    try:
        return {
            name: a_distance(*(looks[part].features[chosen] for part, chosen in rows.items()), job.recipe.train.seed)
            for name, looks in named.items() if looks is not None
        }  # fmt: skip
    except DataError as error:  # features that have collapsed to one
        job.events.warning(f"There is no A-distance. {error}")
        return {}


def _map(
    job: Job, splits: Splits, classes: list[str], now: dict[str, Look], before: dict[str, Look] | None
) -> Any:  # fmt: skip
    """A map of both domains before and after; the target's labels colour it where they are there for the score."""
    known = splits.test is not None and splits.same
    target = splits.test.dataset.labels if known else np.full(len(now["target"].features), -1)
    labels = {"val": splits.val.dataset.labels if splits.val is not None else np.zeros(0, np.int64), "target": target}
    rows = {
        part: np.sort(np.random.default_rng(job.recipe.train.seed).permutation(len(labels[part]))[:MAPPED])
        for part in ("val", "target") if part in now
    }  # fmt: skip
    looks = {"source only": before, "after": now} if before is not None else {"after": now}
    sets = {
        name: np.concatenate([look[part].features[chosen] for part, chosen in rows.items()])
        for name, look in looks.items()
    }
    names = {"val": "source", "target": "target"}
    return tsne_figure(
        sets, np.concatenate([labels[part][chosen] for part, chosen in rows.items()]), [*classes, "unknown"],
        [names[part] for part, chosen in rows.items() for _ in chosen], job.recipe.train.seed, job.recipe.eval.map,
    )  # fmt: skip


def class_shift(named: list[np.ndarray], names: list[str]) -> list[list[Any]]:
    """A row a class: its name, and its share of each of the labels [N]; classes that occur nowhere are left out."""
    counts = [np.bincount(labels, minlength=len(names)) for labels in named]
    return [
        [name, *(round(float(count[place] / count.sum()), 4) for count in counts)]
        for place, name in enumerate(names) if any(count[place] for count in counts)
    ]  # fmt: skip


def _changed(job: Job, splits: Splits, classes: list[str], now: Look, before: Look) -> None:
    """The target's images whose class is another than before, surest first."""
    changed = np.flatnonzero(now.guesses != before.guesses)
    surest = changed[np.argsort(-now.probabilities[changed].max(axis=1))][:CHANGED]
    labels = splits.test.dataset.labels if splits.test is not None and splits.same else None
    names = [*classes, "unknown"]
    rows = [
        [splits.target.dataset.items[i].name, names[before.guesses[i]], names[now.guesses[i]],
         "" if labels is None or labels[i] < 0 else names[labels[i]]]
        for i in surest
    ]  # fmt: skip
    total = len(now.guesses)
    job.table(f"changed class: {len(changed)} of {total} images", ["image", "source only", "now", "true"], rows)
