"""RetinaNet: anchors at every place, and a loss that looks away from what is easy."""

from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from adapters.detect.base import LEAST, DetectParams, TorchvisionDetector, as_it_is
from adapters.detect.classes import ClassRows
from adapters.detect.pyramid import Pyramid, coarser
from studio.core.registry import register


class RetinanetParams(DetectParams):
    width: int = Field(
        96, ge=32, le=512, multiple_of=32, description="channels of the pyramid and the heads; paper: 256"
    )
    anchor: int = Field(24, ge=4, le=256, description="side of the smallest anchor in pixels of the input; paper: 32")


@register("detect/retinanet")
class Retinanet(TorchvisionDetector):
    """One-stage with nine anchors at every place of five maps, trained by the focal loss (eq. 5).

    Lin et al. 2017, sections 3 and 4, by torchvision on a feature pyramid of the backbone.
    """

    title = "RetinaNet"
    paper = "Lin et al. 2017, Focal Loss for Dense Object Detection"
    formula = r"\mathrm{FL}(p_t) = -\alpha_t (1 - p_t)^\gamma \log p_t"
    Params = RetinanetParams
    class_rows: ClassVar = {"cls_logits": ClassRows()}
    box_layers = ("bbox_reg",)

    def build(self, backbone: Any, classes: int, size: int) -> nn.Module:
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.retinanet import RetinaNet

        params = self.params
        pyramid = Pyramid(backbone, params.width, extra=coarser(size))
        sides = [
            [round(params.anchor * 2 ** (level + third / 3)) for third in range(3)] for level in range(pyramid.levels)
        ]
        anchors = AnchorGenerator(tuple(map(tuple, sides)), ((0.5, 1.0, 2.0),) * pyramid.levels)
        return RetinaNet(
            pyramid, classes, anchor_generator=anchors, score_thresh=LEAST, nms_thresh=params.nms,
            detections_per_img=params.most, **as_it_is(size),
        )  # fmt: skip
