"""Several answers to one image made one: suppression, softened suppression, voting, weighted fusion.

All of them look at one class at a time, and take boxes from the surest on. Overlaps are IoU, which does not
change when an image is stretched, so corners may be in pixels or in 0..1.
"""

from collections.abc import Callable, Sequence

import numpy as np

from studio.data.boxes import Detections, iou

SIGMA = 0.5  # of gaussian soft-NMS, as in its paper
FAINT = 0.001  # score below which soft-NMS drops a box

Cluster = list[int]


def fuse(
    answers: Sequence[Detections], how: str = "wbf", overlap: float = 0.55, weights: Sequence[float] | None = None,
    most: int | None = None,
) -> Detections:  # fmt: skip
    """One answer from several: `found[m]` is what view or model m found in the same image.

    `overlap` is the IoU above which two boxes are taken for one thing; `weights[m]` how much model m is believed
    (1 where left out). At most `most` boxes are kept. The surest come first; boxes without area are dropped.
    """
    if how not in _METHODS:
        raise ValueError(f"there is no fusion {how!r}; expected one of {', '.join(FUSIONS)}")
    trust = np.ones(len(answers)) if weights is None else np.asarray(weights, np.float64)
    xyxy = np.concatenate([np.zeros((0, 4)), *(detections.xyxy for detections in answers)]).astype(np.float64)
    labels = np.concatenate([np.zeros(0, np.int64), *(detections.labels for detections in answers)])
    scores = np.concatenate([np.zeros(0), *(detections.scores for detections in answers)]).astype(np.float64)
    model = np.repeat(np.arange(len(answers)), [len(detections) for detections in answers])
    there = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
    parts = []
    for label in np.unique(labels[there]):
        rows = np.flatnonzero(there & (labels == label))
        rows = rows[np.argsort(-scores[rows] * trust[model[rows]], kind="stable")]
        boxes, sure = _METHODS[how](xyxy[rows], scores[rows], model[rows], trust, overlap)
        parts.append(Detections(boxes.astype(np.float32), np.full(len(sure), label), sure.astype(np.float32)))
    return _together(parts).first(most)


def _together(parts: Sequence[Detections]) -> Detections:
    return Detections(
        np.concatenate([np.zeros((0, 4), np.float32), *(one.xyxy for one in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(one.labels for one in parts)]),
        np.concatenate([np.zeros(0, np.float32), *(one.scores for one in parts)]),
    ).above(-np.inf)


def _nms(
    xyxy: np.ndarray, scores: np.ndarray, model: np.ndarray, trust: np.ndarray, overlap: float
) -> tuple[np.ndarray, np.ndarray]:
    """A box is dropped where it overlaps a surer one that is kept by more than `overlap`."""
    believed = scores * trust[model] / trust.max()
    kept = _kept(iou(xyxy, xyxy), overlap)
    return xyxy[kept], believed[kept]


def _soft_nms(linear: bool) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """A box's score falls with its overlap with each surer one, instead of the box being dropped.

    By exp(-IoU^2 / sigma), or where `linear` by 1 - IoU above `overlap`. Bodla et al. 2017, Soft-NMS, eq. 2-3.
    """

    def soften(
        xyxy: np.ndarray, scores: np.ndarray, model: np.ndarray, trust: np.ndarray, overlap: float
    ) -> tuple[np.ndarray, np.ndarray]:
        overlaps = iou(xyxy, xyxy)
        fall = np.where(overlaps > overlap, 1 - overlaps, 1.0) if linear else np.exp(-(overlaps**2) / SIGMA)
        now, waiting = scores * trust[model] / trust.max(), np.ones(len(scores), bool)
        for _ in range(len(now)):
            top = int(np.where(waiting, now, -np.inf).argmax())
            waiting[top] = False
            now[waiting] *= fall[top, waiting]
        kept = now > FAINT
        return xyxy[kept], now[kept]

    return soften


def _voting(
    xyxy: np.ndarray, scores: np.ndarray, model: np.ndarray, trust: np.ndarray, overlap: float
) -> tuple[np.ndarray, np.ndarray]:
    """Each box that NMS keeps moves to the mean of all that overlap it, weighted by their scores.

    Gidaris, Komodakis 2015, Object Detection via a Multi-region and Semantic Segmentation-aware CNN, section 5.
    """
    overlaps = iou(xyxy, xyxy)
    believed = scores * trust[model] / trust.max()
    kept = _kept(overlaps, overlap)
    votes = believed * (overlaps[kept] > overlap)
    votes[np.arange(len(kept)), kept] = believed[kept]
    return votes @ xyxy / votes.sum(1, keepdims=True), believed[kept]


def _nmw(
    xyxy: np.ndarray, scores: np.ndarray, model: np.ndarray, trust: np.ndarray, overlap: float
) -> tuple[np.ndarray, np.ndarray]:
    """Non-maximum weighted: each box goes to the one kept box it overlaps most, and votes by score times overlap.

    Zhou et al. 2017, CAD: Scale Invariant Framework for Real-Time Object Detection, section 3.3.
    """
    overlaps = iou(xyxy, xyxy)
    believed = scores * trust[model] / trust.max()
    heads: list[int] = []
    clusters: list[Cluster] = []
    for row in range(len(xyxy)):
        best = int(overlaps[row, heads].argmax()) if heads else -1
        if heads and overlaps[row, heads[best]] > overlap:
            clusters[best].append(row)
        else:
            heads.append(row)
            clusters.append([row])
    boxes = [
        _mean(xyxy[rows], believed[rows] * overlaps[head, rows]) for head, rows in zip(heads, clusters, strict=True)
    ]
    return np.stack(boxes), believed[heads]


def _wbf(
    xyxy: np.ndarray, scores: np.ndarray, model: np.ndarray, trust: np.ndarray, overlap: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted box fusion: each box joins the fused box it overlaps most, which becomes the mean by score.

    A thing that few models see is believed less: the score is the mean times min(boxes, models) / sum of weights.
    Solovyev et al. 2021, Weighted Boxes Fusion, section 3.
    """
    believed = scores * trust[model]
    clusters: list[Cluster] = []
    fused = np.zeros((len(xyxy), 4))
    for row in range(len(xyxy)):
        overlaps = iou(xyxy[row : row + 1], fused[: len(clusters)])[0]
        best = int(overlaps.argmax()) if clusters else -1
        if clusters and overlaps[best] > overlap:
            clusters[best].append(row)
        else:
            best = len(clusters)
            clusters.append([row])
        rows = clusters[best]
        fused[best] = _mean(xyxy[rows], believed[rows]) if len(rows) > 1 else xyxy[row]
    sure = [believed[rows].mean() * min(len(trust), len(rows)) / trust.sum() for rows in clusters]
    return fused[: len(clusters)], np.array(sure)


def _kept(overlaps: np.ndarray, overlap: float) -> np.ndarray:
    """Rows that NMS keeps, of overlaps [N, N] of boxes in the order of their scores."""
    dropped = np.zeros(len(overlaps), bool)
    for row in range(len(overlaps)):
        if not dropped[row]:
            dropped[row + 1 :] |= overlaps[row, row + 1 :] > overlap
    return np.flatnonzero(~dropped)


def _mean(xyxy: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted mean [4]; the plain one where no box has any weight."""
    return weights @ xyxy / weights.sum() if weights.sum() > 0 else xyxy.mean(axis=0)


_METHODS = {
    "nms": _nms, "soft-nms": _soft_nms(linear=False), "soft-nms-linear": _soft_nms(linear=True), "voting": _voting,
    "nmw": _nmw, "wbf": _wbf,
}  # fmt: skip
#: the values of `eval.fusion`
FUSIONS = tuple(_METHODS)
