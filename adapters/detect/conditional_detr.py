"""Conditional DETR: each query carries a place at which it looks, and so learns sooner than DETR's."""

from typing import ClassVar

from torch import nn

from adapters.detect.classes import ClassRows
from adapters.detect.detr import OneMapDetector
from adapters.detect.initializers import prior_bias, zero_last_layer
from studio.core.registry import register


@register("detect/conditional-detr")
class ConditionalDetr(OneMapDetector):
    """DETR whose cross-attention compares content with content and place with place (sections 3.2 and 3.3).

    Meng et al. 2021, with the focal loss, by transformers; 50 epochs of COCO instead of 500.
    """

    title = "Conditional DETR"
    paper = "Meng et al. 2021, Conditional DETR for Fast Training Convergence"
    model_type = "conditional_detr"
    processor = "ConditionalDetrImageProcessor"
    class_rows: ClassVar = {"class_labels_classifier": ClassRows()}

    def start(self, module: nn.Module) -> None:
        super().start(module)
        prior_bias(0.01, module.class_labels_classifier)
        zero_last_layer(module.bbox_predictor)
