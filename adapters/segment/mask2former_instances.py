"""Mask2Former for things: each query names a class and draws the mask of one thing."""

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from adapters.backbones.hf_segmenter import HFMask2Former
from adapters.backbones.pyramid_maps import PyramidMaps, resized
from adapters.backbones.seeds import seeded
from adapters.detect.base import LEAST, BackboneDetector, BackboneParams, require_side
from adapters.detect.classes import ClassRows
from adapters.segment.hf_base import gone_on, known_rows, save_folder
from adapters.segment.mask2former import Mask2Former, Mask2FormerSizes, mask2former_on
from adapters.segment.queries import Queries
from studio.core.errors import UsageError
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
    probability of the pixels inside its mask (Cheng et al. 2021, MaskFormer, section 3.4). A folder of a whole
    Mask2Former is gone on from with its own backbone: all sizes but `points` are its own then, and classes it knows by
    name keep their weights.
    """

    task = "segment"
    title = "Mask2Former (things)"
    paper = "Cheng et al. 2022, Masked-attention Mask Transformer for Universal Image Segmentation, CVPR"
    Params = Mask2FormerInstancesParams
    class_rows: ClassVar = {"class_predictor": ClassRows(after=1), "empty_weight": ClassRows(after=1)}

    def setup(self, context: LearnerContext) -> nn.Module:
        require_side(context.image_size)
        self.entire = isinstance(context.backbone, HFMask2Former)
        with seeded(context.seed):
            self.module = self._pretrained(context) if self.entire else self._on(context)
        self.freeze_backbone()
        self.leave_heads()
        return self.module

    def _pretrained(self, context: LearnerContext) -> nn.Module:
        whole, classes = context.backbone, context.classes
        model = gone_on(whole, classes, "class_predictor.", train_num_points=self.params.points)
        self.pretrained_classes = [classes[row] for row, _ in known_rows(classes, whole.classes)]
        self._backbone = model.model.pixel_level_module.encoder
        return model

    def _on(self, context: LearnerContext) -> nn.Module:
        self._backbone = context.backbone
        return mask2former_on(PyramidMaps(context.backbone, STRIDES), self.params, context.classes)

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

    def class_maps(self) -> nn.Module:
        """What its queries say together of each pixel: how an exported network is compared with it."""
        return Queries(self.module, any_size=False)

    def save_hugging_face(self, preprocess: Any, folder: Any) -> None:
        """Writes a folder for AutoModelForUniversalSegmentation; UsageError where it stands on a backbone of ours."""
        if not self.entire:
            raise UsageError(
                f"format hf: {self.id} stands on a backbone of ours here, with which transformers has no such network; "
                "it exports as safetensors only."
            )
        save_folder(self.module, Mask2Former.processor, preprocess, folder)

    def read_hugging_face(self, folder: Path) -> nn.Module:
        """`class_maps` of what the written folder gives."""
        from transformers import AutoModelForUniversalSegmentation

        model = AutoModelForUniversalSegmentation.from_pretrained(folder, local_files_only=True)
        return Queries(model, any_size=False)
