"""A Stylist brought to life: photos in its style, at their own size."""

from copy import copy, deepcopy

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from adapters.translate.data.decoded import resized, to_canvas
from adapters.translate.film_filter import canvas
from adapters.translate.run.predictor import LookPredictor
from adapters.translate.style.base import Stylist
from studio.core.errors import UsageError

LEAST_SPREAD = 2.0  # of 255: what deviates less from its mean colour is one colour


def one_colour(image: np.ndarray) -> bool:
    """Whether an image uint8 [3, h, w] has no style to learn."""
    return float(image.reshape(3, -1).std(axis=1).max()) < LEAST_SPREAD


class StyledImages(LookPredictor):
    """A Stylist that knows its style, ready for photos."""

    learner: Stylist

    def with_style(self, image: Image.Image) -> "StyledImages":
        """One that has another image for its style; this one stays as it is. Raises UsageError, DataError."""
        learner = copy(self.learner)
        if not learner.any_style:
            raise UsageError(f"style: {learner.id} knows the style that it was trained on alone; leave it out.")
        pixels = to_canvas(image, canvas(image.size, self.view.short))
        if one_colour(pixels):
            raise UsageError("style: this image is of one colour, which is no style; expected strokes or texture.")
        learner.module = deepcopy(self.learner.module)
        learner.learn_style([torch.from_numpy(pixels).to(self.device).float() / 255])
        return StyledImages(learner, self.device, self.view)

    def translate(self, image: Image.Image) -> np.ndarray:
        size = image.size if self.learner.own_size else canvas(image.size, self.view.short)
        made = self.styled(torch.from_numpy(to_canvas(image, size)))
        return np.ascontiguousarray(resized(made, image.size).permute(1, 2, 0).numpy())

    @torch.no_grad()
    def styled(self, pixels: Tensor) -> Tensor:
        """An image uint8 [3, h, w] in the style, of the same size."""
        made = self.learner.stylize(pixels[None].to(self.device).float() / 255, self.view.strength)
        return (made[0] * 255).round().clamp(0, 255).to(torch.uint8).cpu()

    def module(self) -> nn.Module | None:
        """A network in -1..1 for export, where it is one network."""
        return self.learner.module["generator"] if not self.learner.any_style else None
