"""Numbers about class maps: one confusion matrix, and what is read off it, by a convention that is said.

A map is uint8 [H, W] of class indices, VOID (255) where the truth is not known. Where a guess is VOID, or no class at
all, the pixel is counted as missed. Rows of the matrix are the truth, columns the guess, and a last column of pixels
for which no class was guessed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from studio.data.masks.class_map import VOID
from studio.metrics.intervals import mean_ci95

#: what becomes of a class without a pixel in the truth of all images together
ABSENT = {
    "mmseg": "a class that is guessed though it is nowhere counts 0, one that is neither is left out",
    "cityscapes": "the same by the words of cityscapesScripts: a class with an empty denominator is left out",
    "present": "classes that are nowhere in the truth are left out, also where they are guessed",
    "zero": "every class counts, one that is nowhere 0",
}


def confusion_of(truth: np.ndarray, guess: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 [C, C + 1] of one map; pixels whose truth is VOID vanish. Both maps have one shape."""
    if truth.shape != guess.shape:
        raise ValueError(f"the maps are of {truth.shape} and {guess.shape}; expected one shape")
    known = truth < classes
    if not known.all():
        truth, guess = truth[known], guess[known]
    places = truth.reshape(-1).astype(np.int32)
    places *= classes + 1
    places += np.minimum(guess.reshape(-1), classes)
    counts = np.bincount(places, minlength=classes * (classes + 1))
    return counts.reshape(classes, classes + 1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Scores:
    """What a confusion matrix says, each class by each number; NaN where the convention leaves a class out.

    iou, accuracy (recall), precision, dice: float64 [C]; share float64 [C] of the known pixels.
    """

    iou: np.ndarray
    accuracy: np.ndarray
    precision: np.ndarray
    dice: np.ndarray
    share: np.ndarray
    pixel_accuracy: float

    @property
    def miou(self) -> float:
        return _mean(self.iou)

    @property
    def mean_accuracy(self) -> float:
        return _mean(self.accuracy)

    @property
    def fwiou(self) -> float:
        """IoU weighed by how often each class is there. Long et al. 2015, section 5."""
        there = self.share > 0
        return float((self.share[there] * self.iou[there]).sum()) if there.any() else float("nan")

    @property
    def mean_dice(self) -> float:
        return _mean(self.dice)


def scores_of(matrix: np.ndarray, absent: str = "mmseg", only: Sequence[int] | None = None) -> Scores:
    """The scores of a matrix [C, C + 1]; `absent` is one of ABSENT, `only` the classes that count.

    IoU = TP / (TP + FP + FN). `only` takes classes out of every mean (13 or 16 of 19); pixels of the others stay
    errors of those that guess them.
    """
    if absent not in ABSENT:
        raise ValueError(f"absent is {absent!r}; expected one of {', '.join(ABSENT)}")
    hits = np.diag(matrix).astype(np.float64)
    truth, guessed = matrix.sum(axis=1).astype(np.float64), matrix.sum(axis=0)[:-1].astype(np.float64)
    union = truth + guessed - hits
    counted = np.ones(len(hits), bool)
    if only is not None:
        counted[:] = False
        counted[list(only)] = True
    scored = counted & {"mmseg": union > 0, "cityscapes": union > 0, "present": truth > 0, "zero": True}[absent]
    recalled = counted if absent == "zero" else counted & (truth > 0)
    return Scores(
        _ratio(hits, union, scored), _ratio(hits, truth, recalled), _ratio(hits, guessed, scored & (guessed > 0)),
        _ratio(2 * hits, truth + guessed, scored), _ratio(truth, np.full_like(truth, truth.sum()), truth.sum() > 0),
        float(hits.sum() / truth.sum()) if truth.sum() else float("nan"),
    )  # fmt: skip


def per_image_iou(matrices: Iterable[np.ndarray]) -> np.ndarray:
    """Mean IoU of each image by itself, over the classes of its own truth; NaN where it has none. float64 [N]."""
    return np.array([scores_of(matrix, "present").miou for matrix in matrices], np.float64)


def segmentation_report(matrices: Sequence[np.ndarray], absent: str = "mmseg", draws: int = 1000) -> dict[str, Any]:
    """`miou` and its kin of images together, and `miou_ci95`: half of the interval over draws of the images.

    The interval is a bootstrap of whole images (percentiles 2.5 and 97.5 of the mIoU of `draws` resamples), since the
    mIoU of a set is no mean of those of its images; `image_iou` and its interval are such a mean.
    """
    stacked = np.stack(matrices)
    scores = scores_of(stacked.sum(axis=0), absent)
    each = per_image_iou(matrices)
    mean, half = mean_ci95(each[np.isfinite(each)]) if np.isfinite(each).any() else (float("nan"), float("nan"))
    report = {
        "miou": scores.miou, "miou_ci95": bootstrap_half(stacked, absent, draws),
        "pa": scores.pixel_accuracy, "mpa": scores.mean_accuracy, "fwiou": scores.fwiou,
        "mean_dice": scores.mean_dice, "image_iou": mean, "image_iou_ci95": half,
    }  # fmt: skip
    if stacked.shape[1] == 2:
        report["dice"] = float(scores.dice[1])
    return {**report, "images": len(matrices)}


def bootstrap_half(stacked: np.ndarray, absent: str, draws: int) -> float:
    """Half the width of the 95 % interval of the mIoU of matrices [N, C, C + 1]; NaN for one image."""
    if len(stacked) < 2 or not draws:
        return float("nan")
    draw = np.random.default_rng(0)
    weights = draw.multinomial(len(stacked), np.full(len(stacked), 1 / len(stacked)), draws)
    parts = _parts(stacked)  # hits, truth, guessed of each image: all that IoU needs
    hits, truth, guessed = np.einsum("dn,knc->kdc", weights.astype(np.float64), parts)
    union = truth + guessed - hits
    counted = {"mmseg": union > 0, "cityscapes": union > 0, "present": truth > 0, "zero": np.ones_like(union, bool)}
    iou = np.divide(hits, union, out=np.zeros_like(hits), where=union > 0)
    kept = counted[absent]
    means = (iou * kept).sum(axis=1) / np.maximum(kept.sum(axis=1), 1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(high - low) / 2


def boundary_f(truth: np.ndarray, guess: np.ndarray, label: int, reach: int | None = None) -> float:
    """F1 of the boundary of one class: pixels within `reach` of the other's boundary are right. NaN if there is none.

    reach None: 0.75 % of the diagonal, at least 1 pixel. Csurka et al. 2013, What is a good evaluation measure for
    semantic segmentation?, section 3. Pixels whose truth is VOID take no part.
    """
    from scipy.ndimage import distance_transform_edt

    reach = reach or max(1, round(0.0075 * float(np.hypot(*truth.shape))))
    known = truth != VOID
    edges = [_edge((one == label) & known) & known for one in (truth, guess)]
    if not any(edge.any() for edge in edges):
        return float("nan")
    if not all(edge.any() for edge in edges):
        return 0.0
    near = [distance_transform_edt(~edge) <= reach for edge in edges]
    recall = (edges[0] & near[1]).sum() / edges[0].sum()
    precision = (edges[1] & near[0]).sum() / edges[1].sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _edge(inside: np.ndarray) -> np.ndarray:
    """The pixels of a region that touch one outside of it, up, down, left or right; the map's own border is no edge."""
    padded = np.pad(inside, 1, mode="edge")
    around = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside & ~around


def _parts(stacked: np.ndarray) -> np.ndarray:
    hits = np.diagonal(stacked[:, :, :-1], axis1=1, axis2=2)
    return np.stack([hits, stacked.sum(axis=2), stacked.sum(axis=1)[:, :-1]]).astype(np.float64)


def _ratio(top: np.ndarray, bottom: np.ndarray, counted: np.ndarray | bool) -> np.ndarray:
    """top / bottom, 0 where that is 0 / 0, NaN where it is not counted."""
    values = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
    return np.where(counted, values, np.nan)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
