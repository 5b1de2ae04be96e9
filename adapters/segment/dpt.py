"""DPT: maps of several depths of a plain transformer, fused from coarse to fine."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from adapters.backbones.hf_segmenter import HFDpt
from adapters.backbones.pyramid_maps import resized
from adapters.segment.base import SegmentParams, block
from adapters.segment.hf_base import TransformersSegmenter, Whole, gone_on
from studio.core.faces import LearnerContext
from studio.core.registry import register

LAST = "head.head.4."  # the last layer of transformers' own


class DPTParams(SegmentParams):
    width: int = Field(128, ge=16, le=1024, description="channels of the fusion; 256 in the paper")


class Refine(nn.Module):
    """A residual unit of two 3x3 convolutions, ReLU before each. Lin et al. 2017, RefineNet, section 3.2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.layers(features)


class DPTHead(nn.Module):
    """Maps at strides 4 to 32 -> logits at stride 4."""

    def __init__(self, channels: list[int], classes: int, width: int, dropout: float) -> None:
        super().__init__()
        self.reassemble = nn.ModuleList(nn.Conv2d(one, width, 3, padding=1, bias=False) for one in channels)
        self.skip = nn.ModuleList(Refine(width) for _ in channels[:-1])
        self.fuse = nn.ModuleList(Refine(width) for _ in channels)
        self.last = nn.Sequential(block(width, width), nn.Dropout(dropout))
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        levels = [reassemble(one) for reassemble, one in zip(self.reassemble, maps, strict=True)]
        fused = self.fuse[-1](levels[-1])
        for place in range(len(levels) - 2, -1, -1):
            fused = resized(fused, levels[place].shape[-2:]) + self.skip[place](levels[place])
            fused = self.fuse[place](fused)
        return self.classifier(self.last(fused))


@register("segment/dpt")
class DPT(TransformersSegmenter):
    """Four blocks of a transformer, their tokens laid out as maps at strides 4 to 32, fused by residual units.

    Section 3 of the paper, for a ViT of timm; tokens are brought to the strides by interpolation in place of
    convolutions, and the class token is left out ("ignore"). On a hierarchical backbone the maps are its own.
    A folder of a whole DPT of transformers that names pixels is gone on from as it is, without its auxiliary head:
    `width` is its own then, and classes it knows by name keep their weights.
    """

    title = "DPT"
    paper = "Ranftl, Bochkovskiy, Koltun 2021, Vision Transformers for Dense Prediction, ICCV"
    Params = DPTParams
    processor: ClassVar[str] = "DPTImageProcessor"

    def build(self, context: LearnerContext) -> nn.Module:
        self.entire = isinstance(context.backbone, HFDpt)
        if not self.entire:
            return super().build(context)
        fields = {"use_auxiliary_head": False, "semantic_classifier_dropout": self.params.dropout}
        model = gone_on(context.backbone, context.classes, LAST, **fields)
        self._backbone = model.dpt
        return Whole(model, any_size=False)

    def head(self, channels: list[int], classes: int) -> nn.Module:
        return DPTHead(channels, classes, self.params.width, self.params.dropout)
