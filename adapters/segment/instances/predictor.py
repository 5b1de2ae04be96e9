"""A network that finds things brought to life, and its answer: a mask for each thing, at the image's own size."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from adapters.detect.face import Detector
from studio.core.answers import Answer
from studio.core.procedure import Predictor
from studio.data.masks.instances import Instances
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize, to_input
from studio.figures.masks import STRENGTH, draw_instances


class FoundThings(Answer):
    """The things of an image, the surest first, each with its mask and how much of the image it covers."""

    def __init__(self, things: Instances, classes: Sequence[str]) -> None:
        self.things, self.classes = things, classes
        self.remark = ("try.found", {"count": len(things)})

    def to_dict(self, topk: int = 5) -> dict[str, Any]:
        rows = [{**row, "rle": lengths} for row, lengths in zip(self.records(), self.things.lengths, strict=False)]
        rows = rows if len(self.things) else []
        first = {key: rows[0][key] if rows else None for key in ("label", "score")}
        return {**first, "width": self.things.size[0], "height": self.things.size[1], "things": rows}

    def scores(self, topk: int = 5) -> dict[str, float]:
        """The surest score of each class that was found."""
        pairs = zip(self.things.labels.tolist(), self.things.scores.tolist(), strict=True)
        return {self.classes[label]: score for label, score in reversed(list(pairs))}

    def line(self) -> str:
        counts = Counter(self.classes[label] for label in self.things.labels)
        return ", ".join(f"{count} x {name}" for name, count in counts.items()) or "nothing found"

    def said(self) -> str:
        """How many of each class, and how much of the image they cover together."""
        areas: dict[str, list[float]] = {}
        for row in self.records() if len(self.things) else ():
            areas.setdefault(row["label"], []).append(row["area_percent"])
        return ", ".join(f"{len(of_class)} × {name} ({sum(of_class):.1f} %)" for name, of_class in areas.items())

    def records(self) -> list[dict[str, Any]]:
        things, pixels = self.things, self.things.size[0] * self.things.size[1]
        corners = ("x1", "y1", "x2", "y2")
        rows = [
            {
                "label": self.classes[label], "score": round(float(score), 6),
                **dict(zip(corners, map(float, box), strict=True)),
                "area_percent": round(100 * float(area) / pixels, 4),
            }
            for label, score, box, area in zip(things.labels, things.scores, things.xyxy, things.areas, strict=True)
        ]  # fmt: skip
        return rows or [{"label": None, "score": None}]

    def draw(self, image: Image.Image, chosen: Sequence[str] = (), strength: float = STRENGTH) -> Image.Image:
        """With `chosen`, things of these classes alone."""
        labels = [self.classes.index(name) for name in chosen or self.classes]
        return draw_instances(image, self.things.rows(np.isin(self.things.labels, labels)), self.classes, strength)


class ThingFinder(Protocol):
    """A Detector that draws masks too."""

    def find(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Of each image [B, 3, S, S] labels [N] from 0, scores [N] and masks [N, S, S] in 0..1."""


class ThingPredictor(Predictor):
    """A trained network, ready to look at photos. `threshold` is the score from which a thing is shown."""

    def __init__(
        self, learner: Detector, classes: list[str], preprocess: Preprocess, device: str, threshold: float
    ) -> None:
        self.learner, self.classes, self.preprocess, self.device = learner, classes, preprocess, device
        self.threshold = threshold
        learner.train_mode(False)

    def answers(self, images: list[Image.Image]) -> list[Answer]:
        pixels = torch.stack([to_input(image, self.preprocess) for image in images]).to(self.device)
        found = find(self.learner, pixels, self.preprocess, [image.size for image in images], self.threshold)
        return [FoundThings(things.above(self.threshold), self.classes) for things in found]


def find(
    learner: ThingFinder, pixels: Tensor, preprocess: Preprocess, sizes: Sequence[tuple[int, int]], least: float = 0.0
) -> list[Instances]:
    """What is found in images uint8 [B, 3, S, S], at their own `sizes` (width, height), from a score of `least` on."""
    outputs = learner.find(normalize(pixels, preprocess))
    return [_at_size(output, size, least) for output, size in zip(outputs, sizes, strict=True)]


def _at_size(output: dict[str, Tensor], size: tuple[int, int], least: float) -> Instances:
    rows = torch.nonzero(output["scores"] >= least)[:, 0].tolist()
    labels, scores = output["labels"].cpu().numpy(), output["scores"].float().cpu().numpy()
    things = [(int(labels[row]), _enlarged(output["masks"][row], size)) for row in rows]
    return Instances.of(things, size, scores[rows])


def _enlarged(mask: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Pixels bool [H, W] of a soft mask [S, S]."""
    return (functional.resize(mask[None], [size[1], size[0]])[0] > 0.5).cpu().numpy()
