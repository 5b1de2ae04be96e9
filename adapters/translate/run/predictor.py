"""A translator brought to life, and its answer: the image in the other look, at its own size."""

from copy import copy
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import nn

from adapters.translate.base import Translator
from adapters.translate.data.batches import to_signed
from adapters.translate.data.decoded import resized, to_canvas
from adapters.translate.film_filter import canvas
from adapters.translate.run.views import View, translated
from studio.core.answers import Answer
from studio.core.errors import UsageError
from studio.core.procedure import Predictor


class TranslatedImage(Answer):
    """An image in another look."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image

    def to_dict(self, topk: int = 5) -> dict[str, Any]:
        return {"width": self.image.width, "height": self.image.height}

    def line(self) -> str:
        return f"{self.image.width} x {self.image.height}"

    def records(self) -> list[dict[str, Any]]:
        return [self.to_dict()]

    def draw(self, image: Image.Image) -> Image.Image:
        return self.image


class LookPredictor(Predictor):
    """A learner that gives photos another look, one at a time; a subclass says how in `translate`."""

    classes: list[str] = []

    def __init__(self, learner: Any, device: str, view: View) -> None:
        self.learner, self.device, self.view = learner, device, view
        learner.train_mode(False)

    def translate(self, image: Image.Image) -> np.ndarray:
        """Pixels uint8 [H, W, 3] of an RGB image in the other look, at its own size."""
        raise NotImplementedError

    def viewed(self, strength: float, short: int) -> Self:
        """The same at another strength and size."""
        return type(self)(self.learner, self.device, replace(self.view, strength=strength, short=short))

    def watching(self) -> Predictor:
        from adapters.translate.run.steady import SteadyFilm

        return SteadyFilm(self, self.view.steady) if self.view.steady else self

    def answers(self, images: list[Image.Image]) -> list[Answer]:
        return [TranslatedImage(Image.fromarray(self.translate(image))) for image in images]


class ImageTranslator(LookPredictor):
    """A trained Translator, ready for photos."""

    learner: Translator

    @torch.inference_mode()
    def with_style(self, image: Image.Image) -> "ImageTranslator":
        """One that draws in the style of an image of the wanted look; this one stays as it is. Raises UsageError."""
        if not self.learner.takes_style:
            raise UsageError(
                f"style: {self.learner.id} knows one look alone; leave it out, or take a checkpoint of AdaIN or MUNIT."
            )
        learner = copy(self.learner)
        pixels = torch.from_numpy(to_canvas(image, canvas(image.size, self.view.short)))[None].to(self.device)
        learner.codes = self.module().style(to_signed(pixels))
        return ImageTranslator(learner, self.device, self.view)

    @torch.inference_mode()
    def translate(self, image: Image.Image) -> np.ndarray:
        pixels = torch.from_numpy(to_canvas(image, canvas(image.size, self.view.short)))
        made = translated(self.learner, pixels[None].to(self.device), self.view)[0].cpu()
        return np.ascontiguousarray(resized(made, image.size).permute(1, 2, 0).numpy())

    def module(self) -> nn.Module:
        name = "generator_back" if self.view.backward else "generator"
        return self.learner.module[name]
