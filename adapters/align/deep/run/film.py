"""The film of both domains while they are aligned: features kept after each epoch, and their maps in turn."""

from pathlib import Path

import numpy as np

from adapters.align.deep.run.judging import Judge, Look
from studio.core.procedure import Job
from studio.figures import map_film


def show_film(job: Job, judge: Judge, classes: list[str], before: dict[str, Look] | None) -> None:
    """`film-of-maps`: source only where there is one, then each epoch; coloured by labels where these are there."""
    frames = {} if before is None else {"source only": _at_start(judge, before)}
    frames |= {f"epoch {path.stem.lstrip('0')}": np.load(path, allow_pickle=False) for path in kept_maps(judge.maps)}
    val, target = judge.mapped_rows
    known = judge.splits.test is not None and judge.splits.same
    labels = judge.splits.test.dataset.labels[target] if known else np.full(len(target), -1)  # type: ignore[union-attr]
    domains = ["target"] * len(target)
    if judge.splits.val is not None:
        labels = np.concatenate([judge.splits.val.dataset.labels[val], labels])
        domains = ["source"] * len(val) + domains
    seed, by = job.recipe.train.seed, job.recipe.eval.map
    job.film("film-of-maps", map_film(frames, labels, [*classes, "unknown"], domains, seed, by))


def kept_maps(folder: Path) -> list[Path]:
    """What `Judge` kept of each epoch, in their order."""
    return sorted(folder.glob("*.npy"))


def _at_start(judge: Judge, before: dict[str, Look]) -> np.ndarray:
    val, target = judge.mapped_rows
    parts = [before["val"].features[val]] if "val" in before else []
    return np.concatenate([*parts, before["target"].features[target]])
