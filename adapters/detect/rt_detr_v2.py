"""RT-DETR v2: the best places of three maps become queries, which look at a few points of them."""

from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from adapters.detect.classes import ClassRows
from adapters.detect.hf_base import EncoderParams, TransformerDetector, stand_in
from adapters.detect.initializers import as_torch, attentions, prior_bias, unit_norms, xavier, zero_last_layer
from studio.core.registry import register


class RtDetrParams(EncoderParams):
    points: int = Field(4, ge=1, le=16, description="points of each map that an attention head looks at")
    denoising: int = Field(
        50, ge=0, le=1000, description="queries that learn from true boxes with noise, in training only; paper: 100"
    )


@register("detect/rt-detr-v2")
class RtDetrV2(TransformerDetector):
    """A light encoder of three maps, queries chosen by score, deformable attention, denoising queries in training.

    Zhao et al. 2024, sections 3 and 4, and the second version's free number of points; by transformers.
    """

    title = "RT-DETR v2"
    paper = "Lv et al. 2024, RT-DETRv2: Improved Baseline with Bag-of-Freebies for Real-Time Detection Transformer"
    Params = RtDetrParams
    model_type = "rt_detr_v2"
    processor = "RTDetrImageProcessor"
    queries_from_maps = True
    class_rows: ClassVar = {
        "denoising_class_embed": ClassRows(after=1), "class_embed": ClassRows(), "enc_score_head": ClassRows(),
    }  # fmt: skip

    def config(self, channels: list[int], size: int) -> dict[str, Any]:
        return hybrid(self.params, channels)

    def start(self, module: nn.Module) -> None:
        start_hybrid(module)

    def weight(self, kind: str) -> float:
        return 1.0  # weighted already


def hybrid(params: Any, channels: list[int]) -> dict[str, Any]:
    """The config that RT-DETR and D-FINE share."""
    width = params.width
    return {
        "backbone_config": stand_in(channels), "freeze_backbone_batch_norms": False, "encoder_in_channels": channels,
        "encoder_hidden_dim": width, "decoder_in_channels": [width] * 3, "d_model": width,
        "encoder_layers": params.encoder_layers, "decoder_layers": params.decoder_layers,
        "encoder_attention_heads": params.heads, "decoder_attention_heads": params.heads,
        "encoder_ffn_dim": params.hidden, "decoder_ffn_dim": params.hidden, "decoder_n_points": params.points,
        "num_queries": params.queries, "num_denoising": params.denoising, "dropout": params.dropout,
    }  # fmt: skip


def start_hybrid(module: nn.Module) -> None:
    """The start of RT-DETR and D-FINE; from the papers' 0.01 a class their scores rise slowly: here 1 / (n + 1)."""
    model, decoder = module.model, module.model.decoder
    unit_norms(module)
    as_torch(module)
    xavier(*attentions(module), model.enc_output, decoder.query_pos_head)
    prior_bias(1 / (module.config.num_labels + 1), model.enc_score_head, *decoder.class_embed)
    zero_last_layer(model.enc_bbox_head, *decoder.bbox_embed)
