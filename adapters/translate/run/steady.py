"""Films without flicker: where the film stands still, what was made of the frame before lives on.

A recursive mean over time whose weight falls where the input moves: out_t = (1 - w) made_t + w out_(t-1) with
w = steady * exp(-(d / 0.04)^2), d the difference of the two input frames around a pixel, in parts of their range.
"""

from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

from adapters.translate.run.predictor import TranslatedImage
from studio.core.answers import Answer
from studio.core.procedure import Predictor

MOVES = 0.04  # a difference of neighbouring frames that is taken for motion, in parts of 255
AROUND = 5  # pixels a side over which differences are averaged, against grain


class SteadyFilm(Predictor):
    """A translator that is shown the frames of one film in order."""

    classes: list[str] = []

    def __init__(self, translator: Any, steady: float) -> None:
        """`translator.translate` gives uint8 [H, W, 3] of an image; `steady` in 0..1 is the weight of what was."""
        self.translator, self.steady = translator, steady
        self._before: tuple[np.ndarray, np.ndarray] | None = None  # the frame before, and what was shown for it

    def answers(self, images: list[Image.Image]) -> list[Answer]:
        return [TranslatedImage(Image.fromarray(self._next(image))) for image in images]

    def _next(self, image: Image.Image) -> np.ndarray:
        frame, made = np.asarray(image, np.float32), self.translator.translate(image).astype(np.float32)
        if self._before is not None and self._before[0].shape == frame.shape:
            made = steadied(made, self._before[1], frame, self._before[0], self.steady)
        self._before = frame, made
        return np.clip(np.round(made), 0, 255).astype(np.uint8)


def steadied(
    made: np.ndarray, made_before: np.ndarray, frame: np.ndarray, frame_before: np.ndarray, steady: float
) -> np.ndarray:
    """All float [H, W, 3] in 0..255."""
    difference = uniform_filter(np.abs(frame - frame_before).mean(axis=2) / 255, AROUND)
    weight = steady * np.exp(-((difference / MOVES) ** 2))[..., None]
    return (1 - weight) * made + weight * made_before
