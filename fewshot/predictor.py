"""A few-shot checkpoint brought to life: the nearest photos speak for a prediction, and the unfamiliar is said."""

from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from fewshot.calibrate import Calibration, class_means, familiarity
from fewshot.heads.matching import Matching
from fewshot.heads.prototypes import Prototypes
from fewshot.heads.simpleshot import SimpleShot
from fewshot.support import SupportSet
from studio.core.answers import Answer, RankedClasses
from studio.core.faces import EpisodeHead, Episodes
from studio.core.procedure import Predictor
from studio.data.features.cache import embed_images
from studio.data.features.neighbours import nearest_in

NEAREST = 3
#: heads whose scores an ONNX file can compute: the others solve a linear system
EXPORTED = (Prototypes, SimpleShot, Matching)


def one_by_one(head: EpisodeHead) -> EpisodeHead:
    """The head that predicts single photos: `head` itself, or for a transductive one the nearest class mean.

    A transductive head needs many queries at once, and most need them balanced. Photos that come in one by one are
    neither, and the answer for one must not hang on which others came along.
    """
    if not head.transductive:
        return head
    return SimpleShot(SimpleShot.Params(transform="l2n"))


class SupportPredictor(Predictor):
    """Scores photos against a support set."""

    def __init__(
        self, head: EpisodeHead, support: SupportSet, calibration: Calibration, backbone: Any, device: str
    ) -> None:
        self.classes = support.classes
        self.head, self.support, self.calibration = one_by_one(head), support, calibration
        self.backbone, self.device, self.min_side = backbone, device, backbone.preprocess.image_size
        self._features, self._labels = torch.from_numpy(support.features), torch.from_numpy(support.labels)
        self._means = class_means(self._features, self._labels, len(support.classes))
        self._index = nearest_in(self._unit(self._features).numpy())

    def scores(self, images: list[Image.Image]) -> np.ndarray:
        return self.of_features(self._embed(images).numpy())

    def of_features(self, features: np.ndarray) -> np.ndarray:
        """Probabilities [N, C] for features [N, D] of the backbone."""
        query = torch.from_numpy(features)
        scores = support_scores(self.head, self._features, self._labels, query, len(self.classes))
        return (scores / self.calibration.temperature).softmax(-1).numpy()

    def answers(self, images: list[Image.Image]) -> list[Answer]:
        """Ranked classes, with `familiarity` -1..1, `unknown` (None where the support set can't tell), and `nearest`:
        the most similar support images {label, name, similarity}, which are the answer's neighbours.
        """
        features = self._embed(images)
        probabilities = self.of_features(features.numpy())
        familiar = familiarity(features, self._means)
        rows, distances = self._index.search(self._unit(features).numpy(), NEAREST)
        return [
            RankedClasses(
                self.classes,
                scores,
                self._extras(float(value), numbers, similar),
                partial(self._neighbours, numbers, similar),
            )
            for scores, value, numbers, similar in zip(
                probabilities, familiar, rows.tolist(), (1 - distances / 2).tolist(), strict=True
            )
        ]

    def module(self) -> nn.Module | None:
        if not isinstance(self.head, EXPORTED):
            return None
        return SupportNetwork(self.backbone, self.head, self._features, self._labels, self.calibration.temperature)

    def _extras(self, familiar: float, numbers: list[int], similarities: list[float]) -> dict[str, Any]:
        cut = self.calibration.unknown_below
        nearest = [
            {"label": self._label(number), "name": self.support.names[number], "similarity": round(similarity, 4)}
            for number, similarity in zip(numbers, similarities, strict=True)
        ]
        return {
            "familiarity": round(familiar, 4),
            "unknown": None if cut is None else familiar < cut,
            "nearest": nearest,
        }

    def _neighbours(self, numbers: list[int], similarities: list[float]) -> list[tuple[Image.Image, str]]:
        captions = [f"{self._label(number)} {value:.2f}" for number, value in zip(numbers, similarities, strict=True)]
        images = [self.support.thumbnail(number) for number in numbers]
        return [(image, caption) for image, caption in zip(images, captions, strict=True) if image is not None]

    def _label(self, number: int) -> str:
        return self.classes[self.support.labels[number]]

    def _embed(self, images: list[Image.Image]) -> Tensor:
        """Features [N, D]."""
        return torch.from_numpy(embed_images(images, self.backbone, self.device))

    def _unit(self, features: Tensor) -> Tensor:
        return functional.normalize(features - self._means.mean(0), dim=1)


class SupportNetwork(nn.Module):
    """Backbone and support set as one network: images [B, 3, H, W] to logits [B, C]."""

    def __init__(self, backbone: nn.Module, head: EpisodeHead, features: Tensor, labels: Tensor, temperature: float):
        super().__init__()
        self.backbone, self._head, self._temperature = backbone, head, temperature
        self.register_buffer("features", features)
        self.register_buffer("labels", labels)
        self._ways = int(labels.max()) + 1

    def forward(self, images: Tensor) -> Tensor:
        query = self.backbone.embed(images)
        return support_scores(self._head, self.features, self.labels, query, self._ways) / self._temperature


def support_scores(head: EpisodeHead, features: Tensor, labels: Tensor, query: Tensor, ways: int) -> Tensor:
    """Scores [N, W] of query features [N, D] by one support set."""
    mask = torch.ones(1, query.shape[0], dtype=torch.bool, device=query.device)  # `len` would fix it in an export
    return head.scores(Episodes(features[None], labels[None], query[None], mask, ways))[0]
