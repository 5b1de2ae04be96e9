"""Mean teacher: a slow copy of the detector draws boxes on target images, and the detector learns from them."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.detect.data.transforms import pad
from adapters.detect.face import Detector
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.phases import Teacher
from studio.core.recipe import validate
from studio.core.registry import Params, register
from studio.core.streams import Batch, Source, Step, StreamBatches, Target
from studio.data.boxes import Detections

PLACES = ("box", "giou", "distribution")  # what losses of place and size have in their names


class MeanTeacherParams(Params):
    detector: str = Field("detect/faster-rcnn", description="the detector that is taught, such as detect/fcos")
    detector_params: dict[str, Any] = Field({}, description="its own parameters")
    burn_in: int = Field(200, ge=0, description="steps on the source alone, before any box of the teacher is learned")
    threshold: float = Field(0.7, gt=0, lt=1, description="score from which a box of the teacher is learned")
    weight: float = Field(1.0, ge=0, le=100, description="weight of what is learned from the teacher's boxes")
    decay: float = Field(0.99, ge=0, lt=1, description="how slowly the teacher follows; the paper has 0.9996")
    places: bool = Field(False, description="learn place and size from the teacher's boxes too, not their class alone")


@register("detect/mean-teacher")
class MeanTeacher(Detector):
    """Any detector, taught on the target by an average of itself.

    The teacher sees a target image as it is, the student the same with its colours and sharpness changed and a part
    hidden; boxes of which the teacher is sure are the student's labels. As in the paper their places are not learned,
    for a sure class says nothing of a sure place; images in which the teacher is sure of nothing teach nothing. The
    teacher is what predicts. Liu et al. 2021, section 3, between domains as in Li et al. 2022 (without its adversary).
    """

    title = "Mean teacher"
    paper = "Liu et al. 2021, Unbiased Teacher for Semi-Supervised Object Detection"
    task = "detect"
    Params = MeanTeacherParams
    streams = (Source, Target)
    uses = ("data.source", "data.target", "train.epochs", "train.lr")

    def setup(self, context: LearnerContext) -> nn.Module:
        self.student = self._detector()
        self.student.setup(context)
        self.pretrained_classes = self.student.pretrained_classes
        self.teacher = copy.deepcopy(self.student) if context.training else self.student
        if not context.training:
            self.module = self.student.module
            return self.module
        self.teacher.module.requires_grad_(False)
        self.module = nn.ModuleDict({"student": self.student.module, "teacher": self.teacher.module})
        return self.module

    @property
    def needs_start(self) -> bool:
        return self.student.needs_start

    def _detector(self) -> Detector:
        cls = registry.get(self.params.detector)
        if not issubclass(cls, Detector) or cls.adapts():
            raise UsageError(f"params.detector: {cls.id} is no detector that can be taught; detect/fcos is one.")
        return cls(validate(cls.Params, self.params.detector_params, "params.detector_params"))

    def losses(self, batch: StreamBatches, at: Step) -> dict[str, Tensor]:
        supervised = self.student.losses(batch.source, at)
        if at.step < self.params.burn_in:
            return supervised
        boxes, labels = self.drawn(batch.target.images)
        rows = (labels >= 0).any(dim=1)
        if not rows.any():
            return supervised
        pseudo = Batch(images=batch.target.strong[rows], boxes=boxes[rows], labels=labels[rows])
        from_teacher = {
            f"target_{name}": batch.target.mean(value) * self.params.weight
            for name, value in self.student.losses(pseudo, at).items()
            if self.params.places or not any(word in name for word in PLACES)
        }
        return supervised | from_teacher

    @torch.no_grad()
    def drawn(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The boxes [B, M, 4] and labels [B, M] (-1 where padded) of which the teacher is sure."""
        sure = [_real(detections.above(self.params.threshold)) for detections in self.teacher.predict(images)]
        boxes, labels = pad(
            [torch.from_numpy(detections.xyxy).float() for detections in sure],
            [torch.from_numpy(detections.labels) for detections in sure],
        )
        return boxes.to(images.device), labels.to(images.device)

    def teachers(self) -> list[Teacher]:
        return [Teacher(self.teacher.module, self.student.module, self.params.decay)]

    def train_mode(self, training: bool) -> None:
        self.student.train_mode(training)
        self.teacher.train_mode(False)

    def predict(self, images: Tensor) -> list[Detections]:
        return self.teacher.predict(images)

    def predict_before_nms(self, images: Tensor) -> list[Detections]:
        return self.teacher.predict_before_nms(images)

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        return self.student.param_groups(lr, weight_decay)

    def state(self) -> dict[str, Tensor]:
        return self.teacher.state()

    def inherit(self, state: dict[str, Tensor], before: Sequence[str], classes: Sequence[str]) -> list[str]:
        self.student.inherit(state, before, classes)
        return self.teacher.inherit(state, before, classes)

    def load_state(self, state: dict[str, Tensor]) -> None:
        for detector in {id(one): one for one in (self.student, self.teacher)}.values():
            detector.load_state(state)


def _real(detections: Detections) -> Detections:
    """Without boxes that the edge of the image has cut down to a line."""
    kept = (detections.xyxy[:, 2:] - detections.xyxy[:, :2] > 1).all(axis=1)
    return Detections(detections.xyxy[kept], detections.labels[kept], detections.scores[kept])
