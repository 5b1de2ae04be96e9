"""What all detectors built on torchvision share: parameters, batches, training mode, learning rates."""

from typing import Any

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from adapters.backbones.seeds import seeded
from adapters.finetune.classifier import load_into
from studio.core.boxes import Detections
from studio.core.errors import UsageError
from studio.core.faces import Detector, LearnerContext
from studio.core.norms import freeze_statistics
from studio.core.registry import Params

LEAST_SIDE = 64  # pixels
LEAST = 0.01  # score below which nothing is kept: lower ones hardly change AP

RAW = 300  # boxes a picture, duplicates among them


class DetectParams(Params):
    backbone_lr: float = Field(0.3, ge=0, le=10, description="learning rate of the backbone, as a multiple of train.lr")
    freeze_statistics: bool = Field(
        True, description="keep the pretrained batch-norm statistics, which small batches would spoil"
    )
    nms: float = Field(0.5, gt=0, le=1, description="overlap (IoU) above which the less sure of two boxes is dropped")
    most: int = Field(100, ge=1, le=1000, description="most boxes a picture")


class TorchvisionDetector(Detector):
    """A detector of torchvision on a timm backbone; `build` makes it for square inputs that are normalised already."""

    task = "detect"
    Params = DetectParams
    #: label of the first class: 1 where the model keeps 0 for background
    first_label = 0

    def build(self, backbone: Any, classes: int, size: int) -> nn.Module:
        raise NotImplementedError

    def setup(self, context: LearnerContext) -> nn.Module:
        if context.image_size < LEAST_SIDE:
            raise UsageError(
                f"model.image_size: a detector needs at least {LEAST_SIDE} pixels; found {context.image_size}."
            )
        with seeded(context.seed):
            self.module = self.build(context.backbone, len(context.classes), context.image_size)
        self._backbone = context.backbone
        return self.module

    def train_mode(self, training: bool) -> None:
        self.module.train(training)
        if training and self.params.freeze_statistics:
            freeze_statistics(self._backbone)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.module(list(batch["images"]), self.targets(batch))

    def targets(self, batch: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """The boxes of a batch as torchvision wants them, without those that pad."""
        targets = []
        for boxes, labels in zip(batch["boxes"], batch["labels"], strict=True):
            real = labels >= 0
            targets.append({"boxes": boxes[real], "labels": labels[real] + self.first_label})
        return targets

    def predict(self, images: Tensor) -> list[Detections]:
        return [self._plain(found) for found in self.module(list(images))]

    def raw(self, images: Tensor) -> list[Detections]:
        last = getattr(self.module, "roi_heads", self.module)  # the part that drops duplicates
        kept = last.nms_thresh, last.detections_per_img
        last.nms_thresh, last.detections_per_img = 1.0, max(RAW, self.params.most)
        try:
            return self.predict(images)
        finally:
            last.nms_thresh, last.detections_per_img = kept

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        own = {id(parameter) for parameter in self._backbone.parameters()}
        groups = []
        for inside, rate in ((True, lr * self.params.backbone_lr), (False, lr)):
            part = [p for p in self.module.parameters() if p.requires_grad and (id(p) in own) == inside]
            groups.append({"params": [p for p in part if p.ndim > 1], "lr": rate, "weight_decay": weight_decay})
            groups.append({"params": [p for p in part if p.ndim <= 1], "lr": rate, "weight_decay": 0.0})
        return groups

    def load_state(self, state: dict[str, Tensor]) -> None:
        load_into(self.module, state, self.state())

    def _plain(self, found: dict[str, Tensor]) -> Detections:
        boxes, labels, scores = (found[name].detach().float().cpu().numpy() for name in ("boxes", "labels", "scores"))
        return Detections(boxes, labels.astype(np.int64) - self.first_label, scores)


def as_it_is(size: int) -> dict[str, Any]:
    """Arguments that keep torchvision's own resizing and normalisation from touching the input."""
    return {
        "min_size": size, "max_size": size, "image_mean": [0.0] * 3, "image_std": [1.0] * 3, "_skip_resize": True,
    }  # fmt: skip
