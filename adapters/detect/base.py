"""What all detectors share (learning rates, frozen parts, statistics, classes), and those of torchvision on top."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from adapters.backbones.face import Backbone
from adapters.backbones.layer_groups import parameters_by_depth, units
from adapters.backbones.seeds import seeded
from adapters.detect.classes import ClassRows, take_over
from adapters.detect.face import Detector
from adapters.finetune.classifier import load_into
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.registry import Params
from studio.core.streams import Batch, Step
from studio.data.boxes import Detections
from studio.device.norms import eval_frozen_parts, freeze_statistics

LEAST_SIDE = 64  # pixels
LEAST = 0.01  # score below which nothing is kept: lower ones hardly change AP

RAW = 300  # boxes an image, duplicates among them


class BackboneParams(Params):
    backbone_lr: float = Field(0.3, ge=0, le=10, description="learning rate of the backbone, as a multiple of train.lr")
    freeze: int = Field(
        0, ge=0, le=1000, description="how many groups of the backbone's layers, from its input on, stay as they are"
    )
    heads_only: bool = Field(
        False, description="learn only the last layers, of class and place; all else stays as the checkpoint has it"
    )
    freeze_statistics: bool = Field(
        True, description="keep the pretrained batch-norm statistics, which small batches would spoil"
    )
    most: int = Field(100, ge=1, le=1000, description="most boxes an image")


class DetectParams(BackboneParams):
    nms: float = Field(0.5, gt=0, le=1, description="overlap (IoU) above which the less sure of two boxes is dropped")


class BackboneDetector(Detector):
    """A detector on a backbone, whatever library it is of. `setup` fills `module` and `_backbone`, a part of it."""

    task = "detect"
    #: tensors that have rows for each class, by a pattern in their name
    class_rows: ClassVar[dict[str, ClassRows]] = {}
    #: patterns in the names of the last layers that place boxes; those that name classes are in `class_rows`
    box_layers: ClassVar[tuple[str, ...]] = ()
    #: parts of names of what learns a tenth as fast
    slow: ClassVar[tuple[str, ...]] = ()
    _backbone: nn.Module

    def train_mode(self, training: bool) -> None:
        self.module.train(training)
        if training and self.params.freeze_statistics:
            freeze_statistics(self._backbone)
        if training and self.params.heads_only:
            eval_frozen_parts(self.module)

    @property
    def needs_start(self) -> bool:
        return self.params.heads_only

    def freeze_backbone(self) -> None:
        """Has its first `params.freeze` groups of layers stay as they are, be it one of ours or of a library."""
        if isinstance(self._backbone, Backbone):
            self._backbone.freeze(self.params.freeze)
            return
        named = dict(self._backbone.named_parameters())
        for group in parameters_by_depth(self._backbone, units(self._backbone))[: self.params.freeze]:
            for name in group:
                named[name].requires_grad_(False)

    def leave_heads(self) -> None:
        """Has only the last layers learn, where `heads_only`."""
        if self.params.heads_only:
            for name, parameter in self.module.named_parameters():
                parameter.requires_grad_(
                    any(re.search(pattern, name) for pattern in (*self.class_rows, *self.box_layers))
                )

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        own = {id(parameter) for parameter in self._backbone.parameters()}
        parts: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.module.named_parameters():
            if parameter.requires_grad:
                rate = self.params.backbone_lr if id(parameter) in own else 1.0
                rate *= 0.1 if any(part in name for part in self.slow) else 1.0
                parts.setdefault(rate, []).append(parameter)
        groups = []
        for rate, part in parts.items():
            matrices, vectors = [p for p in part if p.ndim > 1], [p for p in part if p.ndim <= 1]
            groups.append({"params": matrices, "lr": lr * rate, "weight_decay": weight_decay})
            groups.append({"params": vectors, "lr": lr * rate, "weight_decay": 0.0})
        return groups

    def load_state(self, state: dict[str, Tensor]) -> None:
        load_into(self.module, state, self.state())

    def inherit(self, state: dict[str, Tensor], before: Sequence[str], classes: Sequence[str]) -> list[str]:
        return take_over(self.state(), state, before, classes, self.class_rows)


def require_side(image_size: int) -> None:
    """Raises UsageError for an input that is too small to find anything in."""
    if image_size < LEAST_SIDE:
        raise UsageError(f"model.image_size: a detector needs at least {LEAST_SIDE} pixels; found {image_size}.")


class TorchvisionDetector(BackboneDetector):
    """A detector of torchvision on a timm backbone; `build` makes it for square inputs that are normalised already."""

    Params = DetectParams
    #: label of the first class: 1 where the model keeps 0 for background
    first_label = 0

    def build(self, backbone: Any, classes: int, size: int) -> nn.Module:
        raise NotImplementedError

    def setup(self, context: LearnerContext) -> nn.Module:
        require_side(context.image_size)
        backbone: Backbone = context.backbone
        with seeded(context.seed):
            self.module = self.build(backbone, len(context.classes), context.image_size)
        self._backbone = backbone
        self.freeze_backbone()
        self.leave_heads()
        return self.module

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        return self.module(list(batch.images), self.targets(batch))

    def targets(self, batch: Batch) -> list[dict[str, Tensor]]:
        """The boxes of a batch as torchvision wants them, without those that pad."""
        targets = []
        for boxes, labels in zip(batch.boxes, batch.labels, strict=True):
            real = labels >= 0
            targets.append({"boxes": boxes[real], "labels": labels[real] + self.first_label})
        return targets

    def predict(self, images: Tensor) -> list[Detections]:
        return [to_detections(output, self.first_label) for output in self.module(list(images))]

    def predict_before_nms(self, images: Tensor) -> list[Detections]:
        last = getattr(self.module, "roi_heads", self.module)  # the part that drops duplicates
        kept = last.nms_thresh, last.detections_per_img
        last.nms_thresh, last.detections_per_img = 1.0, max(RAW, self.params.most)
        try:
            return self.predict(images)
        finally:
            last.nms_thresh, last.detections_per_img = kept


def to_detections(output: dict[str, Tensor], first_label: int = 0) -> Detections:
    """Detections of one image from a library's boxes xyxy [N, 4], labels [N] and scores [N]."""
    boxes, labels, scores = (output[name].detach().float().cpu().numpy() for name in ("boxes", "labels", "scores"))
    return Detections(boxes, labels.astype(np.int64) - first_label, scores)


def as_it_is(size: int) -> dict[str, Any]:
    """Arguments that keep torchvision's own resizing and normalisation from touching the input."""
    return {
        "min_size": size, "max_size": size, "image_mean": [0.0] * 3, "image_std": [1.0] * 3, "_skip_resize": True,
    }  # fmt: skip
