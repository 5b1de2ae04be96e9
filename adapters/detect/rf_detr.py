"""RF-DETR: one map, queries chosen by score, a light decoder, and groups of queries that learn side by side."""

from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import nn

from adapters.detect.classes import ClassRows
from adapters.detect.hf_base import TransformerDetector, TransformerParams
from adapters.detect.initializers import as_torch, prior_bias, xavier
from studio.core.registry import register


class RfDetrParams(TransformerParams):
    points: int = Field(4, ge=1, le=16, description="points that an attention head looks at")
    groups: int = Field(4, ge=1, le=32, description="groups of queries that learn side by side; 13 in the paper")
    stride: Literal[8, 16, 32] = Field(16, description="the map is this many times smaller than the input")


@register("detect/rf-detr")
class RfDetr(TransformerDetector):
    """LW-DETR's decoder with deformable attention and group training on one map of the backbone.

    Robinson et al. 2025, by transformers. In the paper the backbone is a DINOv2 in windows; here it is any, by its
    map at `params.stride` or, of a plain transformer, its only one.
    """

    title = "RF-DETR"
    paper = "Robinson et al. 2025, RF-DETR: Neural Architecture Search for Real-Time Detection Transformers"
    Params = RfDetrParams
    model_type = "rf_detr"
    processor = "RfDetrImageProcessor"
    backbone_path = "model.backbone.backbone"
    queries_from_maps = True
    class_rows: ClassVar = {"class_embed": ClassRows()}

    def maps_at(self) -> tuple[int, ...]:
        return (self.params.stride,)

    def config(self, channels: list[int], size: int) -> dict[str, Any]:
        params = self.params
        window = {
            "model_type": "rf_detr_dinov2", "hidden_size": channels[0], "num_hidden_layers": 1,
            "num_attention_heads": 1, "image_size": 16, "patch_size": 16, "num_windows": 1, "out_indices": [1],
        }  # fmt: skip
        return {
            "backbone_config": window, "d_model": params.width, "num_queries": params.queries,
            "decoder_layers": params.decoder_layers, "decoder_self_attention_heads": params.heads,
            "decoder_cross_attention_heads": params.heads, "decoder_ffn_dim": params.hidden,
            "decoder_n_points": params.points, "dropout": params.dropout, "group_detr": params.groups,
        }  # fmt: skip

    def start(self, module: nn.Module) -> None:
        model = module.model
        as_torch(module)
        nn.init.zeros_(model.reference_point_embed.weight)
        xavier(model.decoder, model.enc_output)
        prior_bias(0.01, module.class_embed, *model.enc_out_class_embed)
