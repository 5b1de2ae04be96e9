"""What networks of queries share: each query names a class and draws a mask; together they make a class map."""

from pathlib import Path

import torch
from torch import Tensor, nn

from adapters.backbones.pyramid_maps import resized
from adapters.segment.hf_base import TransformersSegmenter
from studio.core.streams import Batch, Step
from studio.data.masks.class_map import VOID

LEAST = 1e-6  # of a class's evidence at a pixel, before its logarithm


class Queries(nn.Module):
    """images [B, 3, H, W] -> logarithms [B, C, H, W] of how much the queries say for each class at a pixel.

    Sum over the queries of the probability of the class times that of the mask. Cheng et al. 2021, MaskFormer, 3.4. The
    logits of the masks are enlarged first, as the authors do: between logarithms an edge lies elsewhere.
    """

    def __init__(self, model: nn.Module, any_size: bool, resampled: bool = False) -> None:
        super().__init__()
        self.model, self.any_size, self.resampled = model, any_size, resampled

    def forward(self, images: Tensor) -> Tensor:
        outputs = self.model(pixel_values=images)
        classes = outputs.class_queries_logits.softmax(-1)[..., :-1]
        masks = resized(outputs.masks_queries_logits, images.shape[-2:]).sigmoid()
        evidence = torch.einsum("bqc,bqhw->bchw", classes, masks)
        return evidence.clamp(min=LEAST).log()


class QuerySegmenter(TransformersSegmenter):
    """A model of transformers that is given masks and their classes in lists; its matching and losses are its own.

    `params.loss`, `balance` and `dropout` say nothing. Of the papers' tasks the semantic one.
    """

    def read_hugging_face(self, folder: Path) -> nn.Module:
        from transformers import AutoModelForUniversalSegmentation

        model = AutoModelForUniversalSegmentation.from_pretrained(folder, local_files_only=True)
        return Queries(model, self.any_size)

    @property
    def any_size(self) -> bool:
        return self.module.any_size

    @property
    def resampled(self) -> bool:
        return self.module.resampled

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        """The model's own, summed over its layers; each class that an image shows is one mask of it."""
        labels, masks = zip(*(by_class(truth) for truth in batch.masks), strict=True)
        with torch.autocast(batch.images.device.type, enabled=False):  # matching does not take halves
            outputs = self.module.model(
                pixel_values=batch.images.float(), mask_labels=list(masks), class_labels=list(labels)
            )
        return {"queries": outputs.loss.squeeze()}


def by_class(truth: Tensor) -> tuple[Tensor, Tensor]:
    """Classes int64 [K] of a map uint8 [H, W], and the mask float [K, H, W] of each; void is in none."""
    labels = truth.unique().long()
    labels = labels[labels != VOID]
    return labels, (truth.unsqueeze(0) == labels.view(-1, 1, 1)).float()
