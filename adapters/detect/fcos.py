"""FCOS: every place of the maps says what it lies in, and how far the edges are."""

from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from adapters.detect.base import LEAST, DetectParams, TorchvisionDetector, as_it_is
from adapters.detect.classes import ClassRows
from adapters.detect.pyramid import Pyramid, coarser
from studio.core.registry import register


class FcosParams(DetectParams):
    width: int = Field(96, ge=32, le=512, multiple_of=32, description="channels of the pyramid and the heads")
    depth: int = Field(2, ge=1, le=8, description="convolutions in each head; the paper has 4")


@register("detect/fcos")
class Fcos(TorchvisionDetector):
    """One-stage and without anchors: class, centre-ness and distances to the four edges at every place.

    Tian et al. 2019, section 3, with centre sampling, by torchvision on a feature pyramid of the backbone.
    """

    title = "FCOS"
    paper = "Tian et al. 2019, FCOS: Fully Convolutional One-Stage Object Detection"
    formula = r"\mathrm{centerness} = \sqrt{\frac{\min(l, r)}{\max(l, r)} \cdot \frac{\min(t, b)}{\max(t, b)}}"
    Params = FcosParams
    class_rows: ClassVar = {"cls_logits": ClassRows()}
    box_layers = ("bbox_reg", "bbox_ctrness")

    def build(self, backbone: Any, classes: int, size: int) -> nn.Module:
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.fcos import FCOS, FCOSHead

        params = self.params
        pyramid = Pyramid(backbone, params.width, extra=coarser(size))
        anchors = AnchorGenerator(tuple((8 * 2**level,) for level in range(pyramid.levels)), ((1.0,),) * pyramid.levels)
        return FCOS(
            pyramid, classes, anchor_generator=anchors, head=FCOSHead(params.width, 1, classes, params.depth),
            score_thresh=LEAST, nms_thresh=params.nms, detections_per_img=params.most, **as_it_is(size),
        )  # fmt: skip
