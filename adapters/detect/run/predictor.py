"""A detector brought to life, and its answer: boxes in the image's own pixels."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from PIL import Image

from studio.core.answers import Answer
from studio.core.procedure import Predictor
from studio.data.boxes import Detections
from studio.figures.boxes import draw_detections


class FoundBoxes(Answer):
    """What was found in an image, the surest first."""

    def __init__(self, detections: Detections, classes: Sequence[str], size: tuple[int, int]) -> None:
        """`detections` are xyxy in pixels of the image of `size` (width, height)."""
        self.detections, self.classes, self.size = detections, classes, size
        self.remark = ("try.found", {"count": len(detections.labels)})

    def to_dict(self, topk: int = 5) -> dict[str, Any]:
        boxes = self._boxes()
        first = {key: boxes[0][key] if boxes else None for key in ("label", "score")}
        return {**first, "width": self.size[0], "height": self.size[1], "boxes": boxes}

    def scores(self, topk: int = 5) -> dict[str, float]:
        """The surest score of each class that was found."""
        return {box["label"]: box["score"] for box in reversed(self._boxes())}

    def line(self) -> str:
        counts = Counter(box["label"] for box in self._boxes())
        return ", ".join(f"{count} x {label}" for label, count in counts.items()) or "nothing found"

    def records(self) -> list[dict[str, Any]]:
        corners = ("x1", "y1", "x2", "y2")
        rows = [
            {"label": box["label"], "score": box["score"], **dict(zip(corners, box["box"], strict=True))}
            for box in self._boxes()
        ]
        return rows or [{"label": None, "score": None}]

    def said(self) -> str:
        """How many of each class, and how sure."""
        scores: dict[str, list[float]] = {}
        for box in self._boxes():
            scores.setdefault(box["label"], []).append(box["score"])
        return ", ".join(
            f"{len(of_class)} × {name} ({min(of_class):.2f} – {max(of_class):.2f})"
            for name, of_class in sorted(scores.items(), key=lambda item: -len(item[1]))
        )

    def draw(self, image: Image.Image) -> Image.Image:
        return draw_detections(image, self.detections, self.classes)

    def _boxes(self) -> list[dict[str, Any]]:
        detections = self.detections
        return [
            {
                "label": self.classes[label],
                "score": round(float(score), 6),
                "box": [round(float(side), 2) for side in corners],
            }
            for corners, label, score in zip(detections.xyxy, detections.labels, detections.scores, strict=True)
        ]


class BoxPredictor(Predictor):
    """A checkpoint that finds things. `threshold` is the score from which a box is shown."""

    threshold: float = 0.5

    def boxes(self, images: list[Image.Image]) -> list[Detections]:
        """What is found in each RGB image, in its pixels, sure or not."""
        raise NotImplementedError

    def answers(self, images: list[Image.Image]) -> list[Answer]:
        return [
            FoundBoxes(detections.above(self.threshold), self.classes, image.size)
            for detections, image in zip(self.boxes(images), images, strict=True)
        ]
