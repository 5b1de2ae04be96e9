"""Mask2Former: queries that each name a class and draw a mask, on a backbone of ours."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.backbones import hf_model
from adapters.backbones.pyramid_maps import PyramidMaps
from adapters.segment.base import Segmenter, SegmentParams
from adapters.segment.hf_base import labelled
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Batch, Step
from studio.data.masks.class_map import VOID

LEAST = 1e-6  # of a class's evidence at a pixel, before its logarithm


class Mask2FormerParams(SegmentParams):
    width: int = Field(128, ge=32, le=1024, multiple_of=32, description="channels of the transformer; 256 in the paper")
    queries: int = Field(50, ge=2, le=1000, description="masks that are drawn; 100 in the paper")
    heads: int = Field(4, ge=1, le=32, description="attention heads; 8 in the paper")
    encoder_layers: int = Field(2, ge=1, le=12, description="layers of deformable attention on the maps; 6 there")
    decoder_layers: int = Field(4, ge=2, le=20, description="layers in which queries look at the maps; 10 there")


class Maps(nn.Module):
    """Our maps as a backbone's output in transformers."""

    def __init__(self, maps: PyramidMaps) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, images: Tensor, **_: Any) -> Any:
        from transformers.modeling_outputs import BackboneOutput

        return BackboneOutput(feature_maps=tuple(self.maps(images)))


class Queries(nn.Module):
    """images [B, 3, H, W] -> logarithms [B, C, h, w] of how much the queries say for each class at a place.

    Sum over the queries of the probability of the class times that of the mask. Cheng et al. 2021, MaskFormer, 3.4.
    """

    def __init__(self, model: nn.Module, maps: PyramidMaps) -> None:
        super().__init__()
        self.model = model
        self.any_size, self.resampled = maps.any_size, maps.resampled

    def forward(self, images: Tensor) -> Tensor:
        found = self.model(pixel_values=images)
        classes = found.class_queries_logits.softmax(-1)[..., :-1]
        evidence = torch.einsum("bqc,bqhw->bchw", classes, found.masks_queries_logits.sigmoid())
        return evidence.clamp(min=LEAST).log()


@register("segment/mask2former")
class Mask2Former(Segmenter):
    """Queries look at maps of several strides through their own masks of before; each names a class and draws a mask.

    transformers' model with our backbone in the place of its own; matching and losses (class, mask, Dice) are its own,
    so `params.loss`, `balance` and `dropout` say nothing. Of the paper's tasks the semantic one.
    """

    title = "Mask2Former"
    paper = "Cheng et al. 2022, Masked-attention Mask Transformer for Universal Image Segmentation, CVPR"
    Params = Mask2FormerParams

    @property
    def any_size(self) -> bool:
        return self.module.any_size

    @property
    def resampled(self) -> bool:
        return self.module.resampled

    def build(self, context: LearnerContext) -> nn.Module:
        from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

        maps, width = PyramidMaps(context.backbone, self.strides), self.params.width
        with hf_model.quiet():
            config = Mask2FormerConfig(
                backbone_config=_stand_in(maps.channels), feature_size=width, mask_feature_size=width, hidden_dim=width,
                encoder_feedforward_dim=4 * width, dim_feedforward=4 * width, num_attention_heads=self.params.heads,
                encoder_layers=self.params.encoder_layers, decoder_layers=self.params.decoder_layers,
                num_queries=self.params.queries, train_num_points=1024, **labelled(context.classes),
            )  # fmt: skip
            model = Mask2FormerForUniversalSegmentation(config).float()
        model.model.pixel_level_module.encoder = Maps(maps)
        return Queries(model, maps)

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        """The model's own, summed over its layers; each class that an image shows is one mask of it."""
        labels, masks = zip(*(by_class(truth) for truth in batch.masks), strict=True)
        with torch.autocast(batch.images.device.type, enabled=False):  # matching does not take halves
            found = self.module.model(
                pixel_values=batch.images.float(), mask_labels=list(masks), class_labels=list(labels)
            )
        return {"queries": found.loss.squeeze()}


def by_class(truth: Tensor) -> tuple[Tensor, Tensor]:
    """Classes int64 [K] of a map uint8 [H, W], and the mask float [K, H, W] of each; void is in none."""
    labels = truth.unique().long()
    labels = labels[labels != VOID]
    return labels, (truth.unsqueeze(0) == labels.view(-1, 1, 1)).float()


def _stand_in(channels: list[int]) -> dict[str, Any]:
    """Config of the smallest backbone of transformers with maps of these channels, until ours takes its place."""
    stages = [f"stage{place}" for place in range(1, len(channels) + 1)]
    return {
        "model_type": "resnet", "embedding_size": 8, "hidden_sizes": channels, "depths": [1] * len(channels),
        "layer_type": "basic", "out_features": stages,
    }  # fmt: skip
