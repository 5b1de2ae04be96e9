"""Answers of a re-identification: the nearest images of the gallery, and who is in them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from adapters.reid.run.gallery import Gallery
from studio.core.answers import Answer
from studio.core.errors import UsageError
from studio.core.procedure import Predictor

Embed = Callable[[Sequence[Image.Image]], np.ndarray]
SHOWN = 50  # images of the gallery that an answer names at most


class Matches(Answer):
    """The nearest images of a gallery, nearest first: who is in each, how far it is, how surely it is the same one."""

    def __init__(
        self, gallery: Gallery, rows: np.ndarray, distances: np.ndarray, sure: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        """`rows` of the gallery [k] and squared distances [k]; `sure` makes probabilities of distances."""
        scores = sure(distances)
        self.matches = [
            {
                "label": gallery.names[gallery.identities[row]], "score": round(float(score), 6),
                "distance": round(float(distance) ** 0.5, 6), "image": gallery.images[row],
                "camera": gallery.cameras[row] or None,
            }
            for row, distance, score in zip(rows.tolist(), distances, scores, strict=True)
        ]  # fmt: skip

    def to_dict(self, topk: int = 5) -> dict[str, Any]:
        first = self.matches[0]
        return {**{key: first[key] for key in ("label", "score", "distance")}, "matches": self.matches[:topk]}

    def scores(self, topk: int = 5) -> dict[str, float]:
        """The surest of each individual."""
        best: dict[str, float] = {}
        for match in self.matches:
            best.setdefault(match["label"], match["score"])
        return dict(list(best.items())[:topk])

    def line(self) -> str:
        return ", ".join(f"{match['label']} at {match['distance']:.3f}" for match in self.matches[:4])

    def records(self) -> list[dict[str, Any]]:
        return [
            {
                "rank": rank,
                "matched": match["image"],
                **{key: match[key] for key in ("label", "score", "distance", "camera")},
            }
            for rank, match in enumerate(self.matches[:5], start=1)
        ]


class Recogniser(Predictor):
    """An embedding and its gallery, ready to be asked."""

    def __init__(self, embed: Embed, gallery: Gallery, same: Sequence[float], network: nn.Module) -> None:
        """`same` are the numbers of `calibrated`; `network` makes embeddings of normalised images."""
        self.embed, self.gallery, self.classes = embed, gallery, gallery.names
        self.same, self.network = same, network

    def module(self) -> nn.Module:
        return self.network

    def export_module(self) -> None:
        """There is no classifier of individuals for other libraries."""
        return

    def sure(self, distances: np.ndarray) -> np.ndarray:
        """The probability that an image at these squared distances shows the same individual."""
        offset, slope = self.same
        return 1 / (1 + np.exp(np.clip(-(offset - slope * np.sqrt(distances)), -50, 50)))

    def answers(self, images: list[Image.Image]) -> list[Answer]:
        if len(self.gallery) == 0:
            raise UsageError("The gallery of this checkpoint is empty: nobody is there to be recognised.")
        rows, distances = self.gallery.nearest(self.embed(images), SHOWN)
        return [Matches(self.gallery, *pair, self.sure) for pair in zip(rows, distances, strict=True)]


def calibrated(right: np.ndarray, wrong: np.ndarray) -> tuple[float, float]:
    """(offset, slope) of the probability that the nearest image is of the same individual, of its distance.

    A logistic regression on the squared distances [Q] to the nearest right and the nearest wrong image of each query.
    """
    from sklearn.linear_model import LogisticRegression

    pairs = [np.sqrt(values[np.isfinite(values)]) for values in (right, wrong)]
    if not all(map(len, pairs)):
        return 0.0, 0.0  # nothing is known: all are even
    distances, same = np.concatenate(pairs), np.repeat([1, 0], list(map(len, pairs)))
    scale = max(float(distances.std()), 1e-6)
    model = LogisticRegression(class_weight="balanced").fit(distances[:, None] / scale, same)
    return float(model.intercept_[0]), float(max(0.0, -model.coef_[0, 0] / scale))
