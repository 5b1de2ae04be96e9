"""Looking at an image more than once: mirrored, at several sizes, by several detectors; and one answer from all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adapters.detect.data.batches import input_side
from adapters.detect.face import Detector
from adapters.detect.run.fusion import fuse
from adapters.detect.run.predictor import BoxPredictor
from adapters.detect.task import DetectEval
from studio.core.errors import UsageError
from studio.data.boxes import Detections
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize

MOST = 300  # boxes an image that a fusion leaves


@dataclass(frozen=True)
class TTA:
    """Test-time augmentation: how images are looked at when judging and predicting; the keys of `eval`."""

    mirror: bool = False
    scales: tuple[float, ...] = (1.0,)
    fusion: str | None = None
    overlap: float = 0.55

    @classmethod
    def of(cls, settings: DetectEval) -> "TTA":
        return cls(settings.mirror, tuple(settings.scales), settings.fusion, settings.overlap)

    @property
    def how(self) -> str:
        """The fusion in use where there are several answers."""
        return self.fusion or "wbf"


@dataclass(frozen=True)
class View:
    """One detector looking at square inputs of `preprocess.image_size`, mirrored or not.

    `before_nms`: its boxes are taken before it drops duplicates, for a fusion that does this itself.
    """

    learner: Detector
    preprocess: Preprocess
    mirrored: bool = False
    before_nms: bool = False

    def find(self, pixels: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Detections]:
        """Detections in pixels of images of `sizes` (width, height), of inputs uint8 [B, 3, S, S]."""
        inputs = normalize(pixels.flip(-1) if self.mirrored else pixels, self.preprocess)
        answers = self.learner.predict_before_nms(inputs) if self.before_nms else self.learner.predict(inputs)
        side = pixels.shape[-1]
        if self.mirrored:
            answers = [
                replace(detections, xyxy=np.abs(detections.xyxy[:, [2, 1, 0, 3]] - [side, 0, side, 0]))
                for detections in answers
            ]
        return [in_image(detections, size, side) for detections, size in zip(answers, sizes, strict=True)]


def views_of(learner: Detector, preprocess: Preprocess, tta: TTA) -> list[View]:
    """Every way in which `tta` has one detector see an image, the plain one first where it is among them."""
    before_nms = tta.fusion not in (None, "wbf")  # the others are what a detector does to its own boxes
    size = preprocess.image_size
    sides = [size if scale == 1 else input_side(size, scale) for scale in tta.scales]
    for side in sides:
        learner.require_side(side, "eval.scales")
    return [
        View(learner, replace(preprocess, image_size=side), mirrored, before_nms)
        for side in dict.fromkeys(sides)
        for mirrored in ((False, True) if tta.mirror else (False,))
    ]


def joined(answers: Sequence[Sequence[Detections]], tta: TTA) -> list[Detections]:
    """One answer an image; `answers[v][i]` is what view v found in image i."""
    if len(answers) == 1 and tta.fusion is None:
        return list(answers[0])
    return [fuse(of_image, tta.how, tta.overlap, most=MOST) for of_image in zip(*answers, strict=True)]


def in_image(detections: Detections, size: tuple[int, int], side: int) -> Detections:
    """Detections in a square input of `side` pixels as they lie in the image of `size`, cut at its edges."""
    factors = np.array([size[0] / side, size[1] / side] * 2, np.float32)
    corners = np.clip(detections.xyxy * factors, 0, np.array([size[0], size[1]] * 2, np.float32))
    return Detections(corners, detections.labels, detections.scores)


class Ensemble(BoxPredictor):
    """Several predictors, whose boxes are joined; classes go by name, in the order of the first."""

    def __init__(self, members: Sequence[BoxPredictor], tta: TTA, threshold: float) -> None:
        """Raises UsageError where the members know different classes."""
        self.members, self.tta, self.threshold = list(members), tta, threshold
        self.classes = self.members[0].classes
        for member in self.members[1:]:
            if sorted(member.classes) != sorted(self.classes):
                odd = sorted(set(member.classes) ^ set(self.classes))
                raise UsageError(
                    f"eval.ensemble: its checkpoints know different classes ({', '.join(odd[:6])}); "
                    "only boxes of the same classes can be joined."
                )

    def boxes(self, images: list[Image.Image]) -> list[Detections]:
        return joined([self._of(member, images) for member in self.members], replace(self.tta, fusion=self.tta.how))

    def _of(self, member: BoxPredictor, images: list[Image.Image]) -> list[Detections]:
        index_of = np.array([self.classes.index(name) for name in member.classes], np.int64)
        return [replace(detections, labels=index_of[detections.labels]) for detections in member.boxes(images)]


def stacked(images: Sequence[np.ndarray], device: str) -> Tensor:
    """Inputs uint8 [B, 3, S, S] on the device."""
    return torch.from_numpy(np.ascontiguousarray(images)).to(device)
