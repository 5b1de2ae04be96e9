"""Deformable DETR: queries look at a few points of maps of four scales."""

from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from adapters.backbones.hf_detector import HFDetector
from adapters.detect.classes import ClassRows
from adapters.detect.hf_base import EncoderParams, TransformerDetector, encoder_decoder
from adapters.detect.initializers import as_torch, prior_bias, xavier, zero_last_layer
from studio.core.errors import UsageError
from studio.core.registry import register


class DeformableDetrParams(EncoderParams):
    points: int = Field(4, ge=1, le=16, description="points of each map that an attention head looks at")
    refine: bool = Field(True, description="each layer of the decoder moves the boxes of the one before (section 4.2)")


@register("detect/deformable-detr")
class DeformableDetr(TransformerDetector):
    """Attention to a few learned points around a reference, on maps of four scales (section 4.1, eq. 2 and 3).

    Zhu et al. 2021, with iterative refinement and one stage, by transformers. Points are learned a tenth as fast.
    """

    title = "Deformable DETR"
    paper = "Zhu et al. 2021, Deformable DETR: Deformable Transformers for End-to-End Object Detection"
    Params = DeformableDetrParams
    model_type = "deformable_detr"
    processor = "DeformableDetrImageProcessor"
    class_rows: ClassVar = {"class_embed": ClassRows()}
    slow = ("sampling_offsets", "reference_points")

    def config(self, channels: list[int], size: int) -> dict[str, Any]:
        params = self.params
        return {
            **encoder_decoder(params, channels),
            "encoder_n_points": params.points, "decoder_n_points": params.points, "num_feature_levels": 4,
            "with_box_refine": params.refine, "auxiliary_loss": True,
        }  # fmt: skip

    def start(self, module: nn.Module) -> None:
        model = module.model
        as_torch(module)
        xavier(model.encoder, model.decoder.layers, model.input_proj, model.reference_points)
        prior_bias(0.01, *module.class_embed)
        zero_last_layer(*module.bbox_embed)
        nn.init.constant_(module.bbox_embed[0].layers[-1].bias[2:], -2.0)  # sides of an eighth of the image

    def _pretrained(self, whole: HFDetector, classes: list[str]) -> None:
        if whole.module.config.two_stage:
            raise UsageError(
                f"model.backbone: {whole.spec} is a two-stage Deformable DETR. transformers has no loss for its first "
                "stage, which also takes the first class for all. The one-stage ones fit."
            )
        super()._pretrained(whole, classes)
