"""What a checkpoint says of one image: an answer knows its dictionary, its one line, and how it is drawn.

`predict`, its `--out` folder, the page's Try it, films and the API show answers without knowing the task: a task
whose answers are of another kind brings its own subclass of `Answer`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


class Answer:
    """What a checkpoint says of one image."""

    #: a word of the page's catalogue, and what is filled into it, where there is more to say of the answer
    remark: tuple[str, dict[str, Any]] | None = None

    def to_dict(self, topk: int = 5) -> dict[str, Any]:
        """Plain data, with `label` and `score` (0..1) of the surest first where there are any."""
        raise NotImplementedError

    def scores(self, topk: int = 5) -> dict[str, float]:
        """Labels with their score 0..1, the highest first; empty where there are none."""
        return {}

    def line(self) -> str:
        """What a table says of it beside label and score."""
        return ""

    def said(self) -> str:
        """What stands beside the drawing of it; empty where the drawing says all."""
        return ""

    def files(self) -> dict[str, bytes]:
        """What a folder of outputs gets beside the drawing: the end of a file's name, and its content."""
        return {}

    def records(self) -> list[dict[str, Any]]:
        """Rows of a table file, without lists in them."""
        facts = self.to_dict(1)
        return [{key: facts.get(key) for key in ("label", "score", "error") if key in facts}]

    def draw(self, image: "Image.Image") -> "Image.Image | None":
        """The image with the answer drawn on it; None where nothing of it is drawn."""
        return None

    def neighbours(self) -> "Sequence[tuple[Image.Image, str]]":
        """Images that speak for the answer, each with a caption."""
        return ()


class Told(Answer):
    """What is left of an answer once it was drawn and filed: its words. A folder of photos may hold thousands."""

    def __init__(self, answer: Answer, topk: int = 5) -> None:
        self._row, self._line, self._records = answer.to_dict(topk), answer.line(), answer.records()

    def to_dict(self, topk: int = 5) -> dict[str, Any]:
        return self._row

    def line(self) -> str:
        return self._line

    def records(self) -> list[dict[str, Any]]:
        return self._records


class Unreadable(Answer):
    """There is no answer, since the image could not be read."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def to_dict(self, topk: int = 5) -> dict[str, Any]:
        return {"error": self.reason}

    def line(self) -> str:
        return self.reason


class RankedClasses(Answer):
    """The probability of each class, and more that a method has to say of the image."""

    def __init__(
        self,
        classes: Sequence[str],
        probabilities: "np.ndarray",
        extras: dict[str, Any] | None = None,
        neighbours: "Callable[[], Sequence[tuple[Image.Image, str]]]" = tuple,
    ) -> None:
        """`probabilities` [C] sum to 1; `extras` are plain data, of which `unknown` says that it fits no class.

        `neighbours` gives the images that speak for the answer, once somebody wants to see them.
        """
        self.classes, self.probabilities = classes, probabilities
        self.extras, self._neighbours = extras or {}, neighbours
        self.remark = ("try.unknown", {}) if self.extras.get("unknown") else None

    def to_dict(self, topk: int = 5) -> dict[str, Any]:
        ranked = [{"label": label, "score": score} for label, score in self.scores(topk).items()]
        return {**ranked[0], "topk": ranked, **self.extras}

    def neighbours(self) -> "Sequence[tuple[Image.Image, str]]":
        return self._neighbours()

    def scores(self, topk: int = 5) -> dict[str, float]:
        order = self.probabilities.argsort()[::-1][:topk]
        return {self.classes[i]: round(float(self.probabilities[i]), 6) for i in order}

    def line(self) -> str:
        return ", ".join(f"{label} {score:.3f}" for label, score in list(self.scores(4).items())[1:])
