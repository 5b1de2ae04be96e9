"""How steady a film is: what was made of a frame, moved as the film moves, beside what was made of the next.

Lai et al. 2018, Learning Blind Video Temporal Consistency, section 4.2 (warping error); occluded places are left out by
the forward-backward check and at motion boundaries, as Ruder et al. 2016, Artistic Style Transfer for Videos, eq. 5-6.
The motion is that of the input film, by TV-L1 (Zach et al. 2007) of scikit-image, an extra.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.ndimage import map_coordinates

from studio.core.errors import StudioError

MISSING = "The warping error needs scikit-image, which is not installed. Install it with: pip install scikit-image"
Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]  # two grey images [h, w] in 0..1 -> [2, h, w] in pixels


def warping_error(frames: Sequence[np.ndarray], made: Sequence[np.ndarray], flow: Flow | None = None) -> float:
    """The mean over neighbouring frames; lower is steadier. Raises StudioError without scikit-image.

    Both are uint8 [3, h, w], in order; values count in 0..1. Two frames at least.
    """
    flow = flow or tv_l1
    pairs = zip(zip(frames, made, strict=True), zip(frames[1:], made[1:], strict=True), strict=False)
    return float(np.mean([_error(*before, *after, flow) for before, after in pairs]))


def _error(
    frame_before: np.ndarray, made_before: np.ndarray, frame: np.ndarray, made: np.ndarray, flow: Flow
) -> float:  # fmt: skip
    back = flow(grey(frame), grey(frame_before))  # where each place was before
    seen = ~occluded(flow(grey(frame_before), grey(frame)), back)
    difference = made / 255 - warped(made_before / 255, back)
    return float((seen * (difference**2).mean(axis=0)).sum() / max(1, seen.sum()))


def warped(values: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """[C, h, w] whose value at p is that of `values` at p + flow [2, h, w] (rows, columns), bilinear."""
    places = np.indices(flow.shape[1:]) + flow
    return np.stack([map_coordinates(channel, places, order=1, mode="nearest") for channel in values])


def occluded(forward: np.ndarray, back: np.ndarray) -> np.ndarray:
    """bool [h, w]: places of the later frame that the earlier does not show, or at the rim of a motion."""
    there = warped(forward, back)
    apart = ((there + back) ** 2).sum(axis=0)
    lost = apart > 0.01 * ((there**2).sum(axis=0) + (back**2).sum(axis=0)) + 0.5
    slopes = sum((np.stack(np.gradient(part)) ** 2).sum(axis=0) for part in back)
    return lost | (slopes > 0.01 * (back**2).sum(axis=0) + 0.002)


def tv_l1(reference: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """The motion [2, h, w] (rows, columns) for which reference(p) is moving(p + motion)."""
    try:
        from skimage.registration import optical_flow_tvl1
    except ImportError as error:
        raise StudioError(MISSING) from error
    return optical_flow_tvl1(reference, moving)


def grey(image: np.ndarray) -> np.ndarray:
    """uint8 [3, h, w] as [h, w] in 0..1. Rec. 601."""
    return np.tensordot([0.299, 0.587, 0.114], image / 255, axes=1)
