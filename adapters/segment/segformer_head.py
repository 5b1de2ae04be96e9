"""SegFormer: its decoder, which is nothing but layers of single pixels, on any backbone with maps."""

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.backbones.pyramid_maps import resized
from adapters.segment.base import Segmenter, SegmentParams, block
from studio.core.registry import register


class SegFormerParams(SegmentParams):
    width: int = Field(256, ge=32, le=1024, description="channels of the decoder; 256 for B0 and B1, 768 above")


class MLPHead(nn.Module):
    """Maps at strides 4 to 32 -> logits at stride 4. Equation 4 of the paper."""

    def __init__(self, channels: list[int], classes: int, width: int, dropout: float) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(one, width, 1) for one in channels)
        self.fuse = block(len(channels) * width, width, 1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        size = maps[0].shape[-2:]
        level = [resized(project(one), size) for project, one in zip(self.projections, maps, strict=True)]
        return self.classifier(self.dropout(self.fuse(torch.cat(level, dim=1))))


@register("segment/segformer-head")
class SegFormerHead(Segmenter):
    """SegFormer's all-MLP decoder on a backbone of ours; the whole, with its own encoder, is segment/segformer."""

    title = "SegFormer's decoder"
    paper = (
        "Xie et al. 2021, SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers, NeurIPS"
    )
    Params = SegFormerParams

    def head(self, channels: list[int], classes: int) -> nn.Module:
        return MLPHead(channels, classes, self.params.width, self.params.dropout)
