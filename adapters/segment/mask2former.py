"""Mask2Former: queries that each name a class and draw a mask, on a backbone of ours or its own."""

from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from adapters.backbones import hf_model
from adapters.backbones.hf_segmenter import HFMask2Former
from adapters.backbones.pyramid_maps import PyramidMaps
from adapters.segment.base import SegmentParams
from adapters.segment.hf_base import gone_on, labelled
from adapters.segment.queries import Queries, QuerySegmenter
from studio.core.faces import LearnerContext
from studio.core.registry import Params, register


class Mask2FormerSizes(Params):
    width: int = Field(128, ge=32, le=1024, multiple_of=32, description="channels of the transformer; 256 in the paper")
    queries: int = Field(50, ge=2, le=1000, description="masks that are drawn; 100 in the paper")
    heads: int = Field(4, ge=1, le=32, description="attention heads; 8 in the paper")
    encoder_layers: int = Field(2, ge=1, le=12, description="layers of deformable attention on the maps; 6 there")
    decoder_layers: int = Field(4, ge=2, le=20, description="layers in which queries look at the maps; 10 there")
    points: int = Field(
        1024, ge=16, le=100_000, description="places at which masks are compared in training; 12544 in the paper"
    )


class Mask2FormerParams(Mask2FormerSizes, SegmentParams):
    pass


class Maps(nn.Module):
    """Our maps as a backbone's output in transformers."""

    def __init__(self, maps: PyramidMaps) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, images: Tensor, **_: Any) -> Any:
        from transformers.modeling_outputs import BackboneOutput

        return BackboneOutput(feature_maps=tuple(self.maps(images)))


@register("segment/mask2former")
class Mask2Former(QuerySegmenter):
    """Queries look at maps of several strides through their own masks of before; each names a class and draws a mask.

    transformers' model with our backbone in the place of its own; it learns by matching queries to masks (class, mask
    and Dice losses). A folder of a whole Mask2Former is gone on from with its own backbone: all sizes but `points` are
    its own then, and classes it knows by name keep their weights.
    """

    title = "Mask2Former"
    paper = "Cheng et al. 2022, Masked-attention Mask Transformer for Universal Image Segmentation, CVPR"
    Params = Mask2FormerParams
    processor: ClassVar[str] = "Mask2FormerImageProcessor"

    def build(self, context: LearnerContext) -> nn.Module:
        self.entire = isinstance(context.backbone, HFMask2Former)
        if self.entire:
            points = self.params.points
            model = gone_on(context.backbone, context.classes, "class_predictor.", train_num_points=points)
            self._backbone = model.model.pixel_level_module.encoder
            return Queries(model, any_size=context.backbone.kind == "cnn")
        maps = PyramidMaps(context.backbone, self.strides)
        return Queries(mask2former_on(maps, self.params, context.classes), maps.any_size, maps.resampled)


def mask2former_on(maps: PyramidMaps, sizes: Mask2FormerSizes, classes: list[str]) -> nn.Module:
    """Mask2FormerForUniversalSegmentation whose encoder is `maps`, at strides 4 to 32."""
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

    width = sizes.width
    with hf_model.quiet():
        config = Mask2FormerConfig(
            backbone_config=_stand_in(maps.channels), feature_size=width, mask_feature_size=width, hidden_dim=width,
            encoder_feedforward_dim=4 * width, dim_feedforward=4 * width, num_attention_heads=sizes.heads,
            encoder_layers=sizes.encoder_layers, decoder_layers=sizes.decoder_layers, num_queries=sizes.queries,
            train_num_points=sizes.points, **labelled(classes),
        )  # fmt: skip
        model = Mask2FormerForUniversalSegmentation(config).float()
    model.model.pixel_level_module.encoder = Maps(maps)
    return model


def _stand_in(channels: list[int]) -> dict[str, Any]:
    """Config of the smallest backbone of transformers with maps of these channels, until ours takes its place."""
    stages = [f"stage{place}" for place in range(1, len(channels) + 1)]
    return {
        "model_type": "resnet", "embedding_size": 8, "hidden_sizes": channels, "depths": [1] * len(channels),
        "layer_type": "basic", "out_features": stages,
    }  # fmt: skip
