"""A translator that is shown a film: its frames in order, steadied where nothing moves."""

from typing import Any

import numpy as np
from PIL import Image

from adapters.translate.film_filter import Steady
from adapters.translate.run.predictor import TranslatedImage
from studio.core.answers import Answer
from studio.core.procedure import Predictor


class SteadyFilm(Predictor):
    """A translator that is shown the frames of one film in order."""

    classes: list[str] = []

    def __init__(self, translator: Any, steady: float) -> None:
        """`translator.translate` gives uint8 [H, W, 3] of an image; `steady` in 0..1 is the weight of what was."""
        self.translator, self.steady = translator, Steady(steady)

    def answers(self, images: list[Image.Image]) -> list[Answer]:
        return [TranslatedImage(Image.fromarray(self._next(image))) for image in images]

    def _next(self, image: Image.Image) -> np.ndarray:
        return self.steady(image, self.translator.translate(image))
