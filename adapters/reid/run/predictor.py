"""Answers of a re-identification: the nearest images of the gallery, and who is in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from adapters.reid.run.gallery import Gallery
from studio.core.answers import Answer
from studio.core.errors import UsageError
from studio.core.procedure import Predictor
from studio.metrics.retrieval import Ranking

Embed = Callable[[Sequence[Image.Image]], np.ndarray]
SHOWN = 50  # images of the gallery that an answer names at most
LET_IN = 0.05  # of strangers that are taken for someone of the gallery


class Matches(Answer):
    """The nearest images of a gallery, nearest first: who is in each, how far it is, how surely it is the same one."""

    def __init__(self, gallery: Gallery, rows: np.ndarray, distances: np.ndarray, calibration: "Calibration") -> None:
        """`rows` of the gallery [k] and squared distances [k]."""
        scores = calibration.sure(distances)
        self.nobody = not calibration.is_same(np.sqrt(distances[:1]))[0]
        self.remark = ("try.nobody", {"beyond": f"{calibration.beyond:.3f}"}) if self.nobody else None
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
        facts = {**{key: first[key] for key in ("label", "score", "distance")}, "nobody": self.nobody}
        return {**facts, **({"label": None} if self.nobody else {}), "matches": self.matches[:topk]}

    def scores(self, topk: int = 5) -> dict[str, float]:
        """The surest of each individual; nothing where it is nobody of the gallery."""
        if self.nobody:
            return {}
        best: dict[str, float] = {}
        for match in self.matches:
            best.setdefault(match["label"], match["score"])
        return dict(list(best.items())[:topk])

    def line(self) -> str:
        nearest = ", ".join(f"{match['label']} at {match['distance']:.3f}" for match in self.matches[:4])
        return f"nobody of the gallery; nearest {nearest}" if self.nobody else nearest

    def records(self) -> list[dict[str, Any]]:
        return [
            {
                "rank": rank,
                "nobody": self.nobody,
                "matched": match["image"],
                **{key: match[key] for key in ("label", "score", "distance", "camera")},
            }
            for rank, match in enumerate(self.matches[:5], start=1)
        ]


@dataclass(frozen=True)
class Calibration:
    """What distances mean, learned of queries that nothing else was learned from.

    offset - slope x distance is the logit of being the same individual; nobody is nearer than `beyond`, None where that
    is not known; `how` says it for people.
    """

    offset: float
    slope: float
    beyond: float | None = None
    how: str = ""

    def sure(self, distances: np.ndarray) -> np.ndarray:
        """The probability that an image at these squared distances shows the same individual."""
        return 1 / (1 + np.exp(np.clip(-(self.offset - self.slope * np.sqrt(distances)), -50, 50)))

    def is_same(self, distances: np.ndarray) -> np.ndarray:
        """Whether images at these distances show the same individual, bool; all do where that is not known."""
        return np.full(len(distances), True) if self.beyond is None else distances < self.beyond


class Recogniser(Predictor):
    """An embedding and its gallery, ready to be asked."""

    def __init__(self, embed: Embed, gallery: Gallery, calibration: Calibration, network: nn.Module) -> None:
        """`network` makes embeddings of normalised images."""
        self.embed, self.gallery, self.classes = embed, gallery, gallery.names
        self.calibration, self.network = calibration, network

    def module(self) -> nn.Module:
        return self.network

    def export_module(self) -> None:
        """There is no classifier of individuals for other libraries."""
        return

    def answers(self, images: list[Image.Image]) -> list[Answer]:
        if len(self.gallery) == 0:
            raise UsageError(
                "The gallery of this checkpoint is empty: nobody is there to be recognised. Enrol some first: "
                "launch.py tool enrol CHECKPOINT --data reid:FOLDER --agreed."
            )
        rows, distances = self.gallery.nearest(self.embed(images), SHOWN)
        return [Matches(self.gallery, *pair, self.calibration) for pair in zip(rows, distances, strict=True)]


def calibrated(rankings: Sequence[Ranking]) -> Calibration:
    """What distances mean, by a logistic regression on each query's nearest right and nearest wrong image.

    `beyond` lets in LET_IN of the strangers: each query asks as one, with its own images taken out of the gallery.
    """
    from sklearn.linear_model import LogisticRegression

    pairs = [
        np.sqrt(values[np.isfinite(values)])
        for values in (np.concatenate([getattr(each, side) for each in rankings]) for side in ("right", "wrong"))
    ]
    if not all(map(len, pairs)):
        return Calibration(0.0, 0.0)  # nothing is known: all are even
    distances, same = np.concatenate(pairs), np.repeat([1, 0], list(map(len, pairs)))
    scale = max(float(distances.std()), 1e-6)
    model = LogisticRegression(class_weight="balanced").fit(distances[:, None] / scale, same)
    right, strangers = pairs[0], np.sort(pairs[1])
    beyond = float(strangers[int(LET_IN * len(strangers))])
    how = (
        f"Calibrated on {len(right)} queries of individuals that were not learned from: a distance below {beyond:.3f} "
        f"takes {LET_IN:.0%} of strangers for someone and finds {(right < beyond).mean():.0%} of those who are there. "
        "A larger gallery lets in more strangers."
    )
    return Calibration(float(model.intercept_[0]), float(max(0.0, -model.coef_[0, 0] / scale)), beyond, how)
