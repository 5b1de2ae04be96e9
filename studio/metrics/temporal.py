"""How steady class maps are from one frame of a film to the next, once the frame's own motion is taken out."""

import numpy as np

from studio.metrics.segmentation import confusion_of, scores_of


def consistency(before: np.ndarray, after: np.ndarray, shift: tuple[int, int], classes: int) -> float:
    """mIoU 0..1 of two class maps uint8 [H, W], the first moved by `shift` (rows, columns), where both have pixels.

    Means are over the classes that either shows. NaN where the maps do not meet. As Varghese et al. 2020, Unsupervised
    Temporal Consistency Metric for Video Segmentation, section 3, with one motion for the whole frame.
    """
    first, second = overlapping(before, after, shift)
    return scores_of(confusion_of(first, second, classes)).miou if first.size else float("nan")


def overlapping(before: np.ndarray, after: np.ndarray, shift: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The parts of two images [H, W, ...] that show the same place, the first moved by `shift` (rows, columns)."""
    (height, width), (down, right) = before.shape[:2], shift
    first = before[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    second = after[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    return first, second


def motion(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    """Rows and columns by which the content of one grey frame [H, W] lies further in the next: phase correlation.

    Kuglin and Hines 1975. (0, 0) where moving makes the frames no more alike.
    """
    window = np.outer(np.hanning(before.shape[0]), np.hanning(before.shape[1]))
    first, second = (np.fft.rfft2((frame - frame.mean()) * window) for frame in (before, after))
    cross = second * first.conj()
    peak = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), s=before.shape)
    place = np.unravel_index(int(peak.argmax()), peak.shape)
    down, right = (int(at - side) if at > side // 2 else int(at) for at, side in zip(place, peak.shape, strict=True))
    return (down, right) if _difference(before, after, (down, right)) < _difference(before, after, (0, 0)) else (0, 0)


def _difference(before: np.ndarray, after: np.ndarray, shift: tuple[int, int]) -> float:
    first, second = overlapping(before, after, shift)
    return float(np.abs(first - second).mean()) if first.size else np.inf
