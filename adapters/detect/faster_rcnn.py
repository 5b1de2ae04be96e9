"""Faster R-CNN: regions are proposed first, then each is looked at closely."""

from typing import Any

from pydantic import Field
from torch import nn

from adapters.detect.base import LEAST, DetectParams, TorchvisionDetector, as_it_is
from adapters.detect.pyramid import Pyramid
from studio.core.registry import register


class FasterRcnnParams(DetectParams):
    width: int = Field(128, ge=32, le=512, multiple_of=32, description="channels of the pyramid; 256 in the paper")
    hidden: int = Field(512, ge=64, le=4096, description="units of the two layers that judge a region; paper: 1024")
    anchor: int = Field(24, ge=4, le=256, description="side of the smallest anchor in pixels of the input")
    sampled: int = Field(
        128, ge=8, le=1024, description="regions a picture that the second stage learns from; paper: 512"
    )
    proposals: int = Field(300, ge=10, le=2000, description="regions a picture that go to the second stage")


@register("detect/faster-rcnn")
class FasterRcnn(TorchvisionDetector):
    """Two stages: a region proposal network on a feature pyramid, then class and place of each region by RoI Align.

    Ren et al. 2015, section 3; RoI Align of He et al. 2017; by torchvision.
    """

    title = "Faster R-CNN"
    paper = "Ren et al. 2015, Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks"
    Params = FasterRcnnParams
    first_label = 1

    def build(self, backbone: Any, classes: int, size: int) -> nn.Module:
        from torchvision.models.detection import FasterRCNN
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
        from torchvision.ops import MultiScaleRoIAlign

        params = self.params
        pyramid = Pyramid(backbone, params.width, pool=True)
        shapes = ((0.5, 1.0, 2.0),) * pyramid.levels
        anchors = AnchorGenerator(tuple((params.anchor * 2**level,) for level in range(pyramid.levels)), shapes)
        regions = MultiScaleRoIAlign(
            [str(level) for level in range(pyramid.levels - 1)], output_size=7, sampling_ratio=2
        )
        return FasterRCNN(
            pyramid, rpn_anchor_generator=anchors, box_roi_pool=regions,
            box_head=TwoMLPHead(params.width * 49, params.hidden),
            box_predictor=FastRCNNPredictor(params.hidden, classes + 1),
            box_batch_size_per_image=params.sampled,
            rpn_post_nms_top_n_train=params.proposals, rpn_post_nms_top_n_test=params.proposals,
            box_score_thresh=LEAST, box_nms_thresh=params.nms, box_detections_per_img=params.most, **as_it_is(size),
        )  # fmt: skip
