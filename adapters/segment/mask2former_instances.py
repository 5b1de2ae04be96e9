"""Mask2Former for things: each query names a class and draws the mask of one thing."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from adapters.backbones.pyramid_maps import PyramidMaps, resized
from adapters.backbones.seeds import seeded
from adapters.detect.base import LEAST, BackboneDetector, BackboneParams, require_side
from adapters.detect.classes import ClassRows
from adapters.segment.mask2former import Mask2FormerSizes, mask2former_on
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Batch, Step

STRIDES = (4, 8, 16, 32)


class Mask2FormerInstancesParams(Mask2FormerSizes, BackboneParams):
    pass


@register("segment/mask2former-instances")
class Mask2FormerInstances(BackboneDetector):
    """Mask2Former of transformers on a backbone of ours, matched with the mask of each thing: no boxes, no NMS.

    Of the paper's tasks the one of instances. The score of a thing is the probability of its class times the mean
    probability of the pixels inside its mask (Cheng et al. 2021, MaskFormer, section 3.4).
    """

    task = "segment"
    title = "Mask2Former (things)"
    paper = "Cheng et al. 2022, Masked-attention Mask Transformer for Universal Image Segmentation, CVPR"
    Params = Mask2FormerInstancesParams
    class_rows: ClassVar = {"class_predictor": ClassRows(after=1), "empty_weight": ClassRows(after=1)}

    def setup(self, context: LearnerContext) -> nn.Module:
        require_side(context.image_size)
        with seeded(context.seed):
            maps = PyramidMaps(context.backbone, STRIDES)
            self.module = mask2former_on(maps, self.params, context.classes)
        self._backbone = context.backbone.freeze(self.params.freeze)
        self.leave_heads()
        return self.module

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        """Those of classes, masks and Dice, summed over the layers: images [B, 3, S, S], masks uint8 [B, M, S, S]."""
        real = [labels >= 0 for labels in batch.labels]
        masks = [shown[kept].float() for shown, kept in zip(batch.masks, real, strict=True)]
        labels = [labels[kept] for labels, kept in zip(batch.labels, real, strict=True)]
        with torch.autocast(batch.images.device.type, enabled=False):  # matching does not take halves
            outputs = self.module(pixel_values=batch.images.float(), mask_labels=masks, class_labels=labels)
        return {"queries": outputs.loss.squeeze()}

    @torch.inference_mode()
    def find(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Of each image [B, 3, S, S] labels [N] from 0, scores [N] and masks [N, S, S] in 0..1, the surest first."""
        outputs = self.module(pixel_values=images)
        masks = resized(outputs.masks_queries_logits.float(), images.shape[-2:]).sigmoid()
        inside = masks > 0.5
        sure = (masks * inside).sum((2, 3)) / inside.sum((2, 3)).clamp(min=1)
        scores = outputs.class_queries_logits.float().softmax(-1)[..., :-1] * sure.unsqueeze(-1)
        return [self._surest(*pair) for pair in zip(scores, masks, strict=True)]

    def _surest(self, scores: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Of one image: scores [Q, C], masks [Q, S, S]."""
        flat = scores.flatten()
        best, places = flat.topk(min(self.params.most, len(flat)))
        best, places = best[best >= LEAST], places[best >= LEAST]
        return {"labels": places % scores.shape[1], "scores": best, "masks": masks[places // scores.shape[1]]}
