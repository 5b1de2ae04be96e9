"""A network for class maps brought to life, and its answer: a class map at the image's own size."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from adapters.backbones.pyramid_maps import resized
from adapters.segment.base import Segmenter
from adapters.segment.data.decoded import to_canvas
from adapters.segment.run.views import Look, enlarged_maps, probabilities
from studio.core.answers import Answer
from studio.core.procedure import Predictor
from studio.data.masks.class_map import VOID
from studio.data.masks.outlines import run_lengths
from studio.data.preprocess import Preprocess
from studio.figures.masks import GROUND, STRENGTH, draw_mask, palette_png


class ClassMap(Answer):
    """Which class each pixel of an image is of, how sure that is, and how much of the image each class covers."""

    def __init__(self, mask: np.ndarray, sure: np.ndarray, classes: Sequence[str]) -> None:
        """mask uint8 [H, W] of class indices, sure [H, W] the probability of that class in 0..1."""
        self.mask, self.classes = mask, classes
        counts = np.bincount(mask.reshape(-1), minlength=len(classes))
        sums = np.bincount(mask.reshape(-1), sure.reshape(-1).astype(np.float64), len(classes))
        order = sorted(np.flatnonzero(counts).tolist(), key=lambda label: (self._is_ground(label), -counts[label]))
        self.areas = {classes[label]: 100 * float(counts[label]) / mask.size for label in order}
        self.sureness = {classes[label]: float(sums[label] / counts[label]) for label in order}
        self.remark = ("try.segmented", {"count": len(self.areas)})

    def to_dict(self, topk: int = 5) -> dict[str, Any]:
        first = next(iter(self.areas))
        return {
            "label": first, "score": round(self.sureness[first], 6), "width": self.mask.shape[1],
            "height": self.mask.shape[0],
            "classes": [
                {**record, "rle": run_lengths(self.mask == self.classes.index(record["label"]))}
                for record in self.records()
            ],
        }  # fmt: skip

    def scores(self, topk: int = 5) -> dict[str, float]:
        """How sure the pixels of each class are, on average."""
        return dict(sorted(self.sureness.items(), key=lambda pair: -pair[1])[:topk])

    def line(self) -> str:
        return ", ".join(f"{label} {area:.1f} %" for label, area in self.areas.items())

    def records(self) -> list[dict[str, Any]]:
        return [
            {"label": label, "score": round(self.sureness[label], 6), "area_percent": round(area, 4)}
            for label, area in self.areas.items()
        ]

    def draw(self, image: Image.Image, chosen: Sequence[str] = (), strength: float = STRENGTH) -> Image.Image:
        """With `chosen`, these classes alone."""
        labels = [self.classes.index(name) for name in chosen or self.classes]
        shown = np.where(np.isin(self.mask, labels), self.mask, VOID).astype(np.uint8)
        return draw_mask(image, shown, self.classes, self.areas, strength)

    def said(self) -> str:
        return self.line()

    def files(self) -> dict[str, bytes]:
        return {"-mask.png": palette_png(self.mask, len(self.classes))}

    def _is_ground(self, label: int) -> bool:
        return self.classes[label].casefold() == GROUND


class MaskPredictor(Predictor):
    """A trained Segmenter, ready to look at photos."""

    def __init__(self, learner: Segmenter, classes: list[str], preprocess: Preprocess, device: str, look: Look) -> None:
        self.learner, self.classes, self.preprocess = learner, classes, preprocess
        self.device, self.look = device, look
        learner.train_mode(False)

    def answers(self, images: list[Image.Image]) -> list[Answer]:
        return [ClassMap(*self.class_map(image), self.classes) for image in images]

    def class_map(self, image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
        """The class of each pixel uint8 [H, W] of an RGB image, and how sure it is [H, W]."""
        pixels = to_canvas(image, self.look.short).to(self.device)
        with torch.inference_mode():
            found = probabilities(self.learner, pixels[None], self.preprocess, self.look)
            return enlarged_maps(found, [image.size])[0]

    def module(self) -> nn.Module:
        return FullSize(self.learner.export_module())


class FullSize(nn.Module):
    """images [B, 3, H, W], normalised -> logits [B, C, H, W]."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return resized(self.module(images), images.shape[-2:])
