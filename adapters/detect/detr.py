"""DETR: learned queries look at one map, and each says what it has found, if anything."""

from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import nn

from adapters.detect.classes import ClassRows
from adapters.detect.hf_base import TransformerDetector, TransformerParams, encoder_decoder
from adapters.detect.initializers import as_torch, xavier
from studio.core.registry import register


class DetrParams(TransformerParams):
    encoder_layers: int = Field(2, ge=1, le=24, description="layers that look at the map; 6 in the paper")
    stride: Literal[8, 16, 32] = Field(
        16, description="the map is this many times smaller than the input: 32 in the paper, 16 sees smaller things"
    )


class OneMapDetector(TransformerDetector):
    """DETR and Conditional DETR: one map, the whole of which every query can look at."""

    Params = DetrParams
    attends_to_maps = True

    def maps_at(self) -> tuple[int, ...]:
        return (self.params.stride,)

    def config(self, channels: list[int], size: int) -> dict[str, Any]:
        return {**encoder_decoder(self.params, channels), "auxiliary_loss": True}

    def start(self, module: nn.Module) -> None:
        as_torch(module)
        xavier(module.model.encoder, module.model.decoder)


@register("detect/detr")
class Detr(OneMapDetector):
    """Set prediction by an encoder and a decoder, matched to the truth by the Hungarian algorithm (section 3).

    Carion et al. 2020, by transformers. The slowest of its kin to train: 300 to 500 epochs of COCO in the paper.
    """

    title = "DETR"
    paper = "Carion et al. 2020, End-to-End Object Detection with Transformers"
    formula = (
        r"\hat\sigma = \arg\min_\sigma \sum_i -\hat p_{\sigma(i)}(c_i) + \lambda_1 \lVert b_i - \hat "
        r"b_{\sigma(i)} \rVert_1 + \lambda_2 \big(1 - \mathrm{GIoU}(b_i, \hat b_{\sigma(i)})\big)"
    )
    model_type = "detr"
    processor = "DetrImageProcessor"
    class_rows: ClassVar = {"class_labels_classifier": ClassRows(after=1)}
