"""Mask R-CNN: a third branch draws the mask of each region that two stages have found."""

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.detect.classes import ClassRows
from adapters.detect.faster_rcnn import FasterRcnn, TwoStageParams, cut_out, two_stages
from studio.core.registry import register
from studio.core.streams import Batch, Step


class MaskRcnnParams(TwoStageParams):
    mask_width: int = Field(128, ge=16, le=512, description="channels of the layers that draw a mask; 256 in the paper")
    mask_size: int = Field(
        14, ge=7, le=56, description="places along a side of what is cut out for a mask, which is drawn twice as fine"
    )


@register("segment/mask-rcnn")
class MaskRcnn(FasterRcnn):
    """Faster R-CNN with a small convolutional network that draws the mask of a region, a mask for each class.

    He et al. 2017, section 3; by torchvision. What a mask is of comes from outlines where the data has them (COCO,
    LabelMe, CVAT), else each connected part of a class but background is a thing.
    """

    task = "segment"
    title = "Mask R-CNN"
    paper = "He et al. 2017, Mask R-CNN, ICCV"
    Params = MaskRcnnParams
    class_rows: ClassVar = {**FasterRcnn.class_rows, "mask_fcn_logits": ClassRows(before=1)}

    def build(self, backbone: Any, classes: int, size: int) -> nn.Module:
        from torchvision.models.detection import MaskRCNN
        from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

        params = self.params
        parts = two_stages(params, backbone, classes, size)
        return MaskRCNN(
            **parts,
            mask_roi_pool=cut_out(parts["backbone"], params.mask_size, max(1, params.roi_samples)),
            mask_head=MaskRCNNHeads(params.width, [params.mask_width] * 4, 1),
            mask_predictor=MaskRCNNPredictor(params.mask_width, params.mask_width, classes + 1),
        )

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        """Those of both stages and of the masks, from images [B, 3, S, S] and masks uint8 [B, M, S, S]."""
        return self.module(list(batch.images), self.targets(batch))

    def targets(self, batch: Batch) -> list[dict[str, Tensor]]:
        masks = [shown[labels >= 0] for shown, labels in zip(batch.masks, batch.labels, strict=True)]
        return [{**target, "masks": mask} for target, mask in zip(super().targets(batch), masks, strict=True)]

    @torch.inference_mode()
    def find(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Of each image [B, 3, S, S] boxes [N, 4], labels [N] from 0, scores [N] and masks [N, S, S] in 0..1."""
        return [
            {**found, "labels": found["labels"] - self.first_label, "masks": found["masks"][:, 0]}
            for found in self.module(list(images))
        ]
