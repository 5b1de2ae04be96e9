"""D-FINE: edges are found as distributions, which each layer of the decoder makes finer."""

from typing import Any, ClassVar

from torch import nn

from adapters.detect.hf_base import TransformerDetector
from adapters.detect.initializers import zero_last_layer
from adapters.detect.rt_detr_v2 import RtDetrParams, RtDetrV2, hybrid, start_hybrid
from studio.core.registry import register


@register("detect/d-fine")
class DFine(TransformerDetector):
    """RT-DETR whose boxes are distributions over the place of each edge, taught by the last layer (sections 3.1, 3.2).

    Peng et al. 2024, by transformers.
    """

    title = "D-FINE"
    paper = "Peng et al. 2024, D-FINE: Redefine Regression Task in DETRs as Fine-grained Distribution Refinement"
    Params = RtDetrParams
    model_type = "d_fine"
    processor = "RTDetrImageProcessor"
    queries_from_maps = True
    class_rows: ClassVar = RtDetrV2.class_rows

    def config(self, channels: list[int], size: int) -> dict[str, Any]:
        return hybrid(self.params, channels)

    def start(self, module: nn.Module) -> None:
        start_hybrid(module)
        zero_last_layer(module.model.decoder.pre_bbox_head)

    def weight(self, kind: str) -> float:
        return 1.0  # weighted already
