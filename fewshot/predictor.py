"""A few-shot checkpoint brought to life: the nearest photos speak for a prediction, and the unfamiliar is said."""

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
from studio.core.faces import EpisodeHead, Episodes
from studio.core.procedure import Predictor
from studio.data.features.cache import embed_images

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
        self.backbone, self.device = backbone, device
        self._features, self._labels = torch.from_numpy(support.features), torch.from_numpy(support.labels)
        self._means = class_means(self._features, self._labels, len(support.classes))
        self._units = self._unit(self._features)
        self._latest: tuple[list[Image.Image], Tensor] = ([], torch.empty(0))

    def scores(self, images: list[Image.Image]) -> np.ndarray:
        return self.of_features(self._embed(images).numpy())

    def of_features(self, features: np.ndarray) -> np.ndarray:
        """Probabilities [N, C] for features [N, D] of the backbone."""
        query = torch.from_numpy(features)
        scores = support_scores(self.head, self._features, self._labels, query, len(self.classes))
        return (scores / self.calibration.temperature).softmax(-1).numpy()

    def extras(self, images: list[Image.Image]) -> list[dict[str, Any]]:
        """Of each image: `familiarity` -1..1, `unknown` (None where the support set can't tell), `nearest`: the
        most similar support photos {label, name, similarity}, and `nearest_pictures` (picture, label, similarity).
        """
        features = self._embed(images)
        familiar = familiarity(features, self._means)
        nearest = (self._unit(features) @ self._units.T).topk(min(NEAREST, len(self.support)))
        return [
            {
                "familiarity": round(float(value), 4),
                "unknown": None if (cut := self.calibration.unknown_below) is None else bool(value < cut),
                **self._nearest(numbers.tolist(), similarities.tolist()),
            }
            for value, numbers, similarities in zip(familiar, nearest.indices, nearest.values, strict=True)
        ]

    def module(self) -> nn.Module | None:
        if not isinstance(self.head, EXPORTED):
            return None
        return SupportNetwork(self.backbone, self.head, self._features, self._labels, self.calibration.temperature)

    def _nearest(self, numbers: list[int], similarities: list[float]) -> dict[str, Any]:
        rows, pictures = [], []
        for number, similarity in zip(numbers, similarities, strict=True):
            label = self.classes[self.support.labels[number]]
            rows.append({"label": label, "name": self.support.names[number], "similarity": round(similarity, 4)})
            picture = self.support.picture(number)
            if picture is not None:
                pictures.append((picture, label, round(similarity, 4)))
        return {"nearest": rows, "nearest_pictures": pictures}

    def _embed(self, images: list[Image.Image]) -> Tensor:
        """Features [N, D]; those of the latest call are kept, since scores and extras ask for the same images."""
        known, features = self._latest
        if len(known) != len(images) or any(a is not b for a, b in zip(known, images, strict=True)):
            features = torch.from_numpy(embed_images(images, self.backbone, self.device))
            self._latest = (list(images), features)
        return features

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
