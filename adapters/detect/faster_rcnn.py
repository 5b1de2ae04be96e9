"""Faster R-CNN: regions are proposed first, then each is looked at closely."""

from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from adapters.detect.base import LEAST, DetectParams, TorchvisionDetector, as_it_is
from adapters.detect.classes import ClassRows
from adapters.detect.cosine import Cosine
from adapters.detect.pyramid import Pyramid
from adapters.detect.two_stage import rpn_roi_losses
from studio.core.registry import register
from studio.core.streams import Batch, Step

HARDER = 4  # so many times the regions that are learned are looked at where only the hardest are


class TwoStageParams(DetectParams):
    width: int = Field(128, ge=32, le=512, multiple_of=32, description="channels of the pyramid; 256 in the paper")
    hidden: int = Field(512, ge=64, le=4096, description="units of the two layers that judge a region; paper: 1024")
    anchor: int = Field(24, ge=4, le=256, description="side of the smallest anchor in pixels of the input")
    roi_size: int = Field(7, ge=2, le=28, description="RoI Align: places along a side of what is cut out of a region")
    roi_samples: int = Field(
        2, ge=0, le=8, description="RoI Align: points along a side that each place is read at; 0 takes as many as fit"
    )
    sampled: int = Field(
        128, ge=8, le=1024, description="regions an image that the second stage learns from; paper: 512"
    )
    proposals: int = Field(300, ge=10, le=2000, description="regions an image that go to the second stage")


class FasterRcnnParams(TwoStageParams):
    hard: bool = Field(
        False, description="of four times as many regions, learn from the hardest (online hard example mining)"
    )
    cosine: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="name a region by its cosine with each class, times this; 20 in the paper; 0: off",
    )


@register("detect/faster-rcnn")
class FasterRcnn(TorchvisionDetector):
    """Two stages: a region proposal network on a feature pyramid, then class and place of each region by RoI Align.

    Ren et al. 2015, section 3; RoI Align of He et al. 2017; by torchvision. Where `hard`, the second stage looks at
    all regions drawn and learns from those with the highest loss (Shrivastava et al. 2016, section 4.2); where
    `cosine`, classes are told apart by direction alone (Wang et al. 2020, section 3.2).
    """

    title = "Faster R-CNN"
    paper = "Ren et al. 2015, Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks"
    Params = FasterRcnnParams
    first_label = 1
    class_rows: ClassVar = {"cls_score": ClassRows(before=1), r"box_predictor\.bbox_pred": ClassRows(before=1, each=4)}
    # all of them hold classes: the second stage places a box by its class, and the first stage stays

    @property
    def hard(self) -> int | None:
        """How many regions an image are learned where only the hardest are; None: all that were drawn."""
        return self.params.sampled if self.params.hard else None

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        return rpn_roi_losses(self.module, batch.images, self.targets(batch), self.hard)[0]

    def build(self, backbone: Any, classes: int, size: int) -> nn.Module:
        from torchvision.models.detection import FasterRCNN

        params = self.params
        parts = two_stages(params, backbone, classes, size)
        if params.cosine:
            parts["box_predictor"].cls_score = Cosine(params.hidden, classes + 1, params.cosine)
        if params.hard:
            parts["box_batch_size_per_image"] *= HARDER
        return FasterRCNN(**parts)


def two_stages(params: TwoStageParams, backbone: Any, classes: int, size: int) -> dict[str, Any]:
    """What torchvision makes both stages of: a pyramid, anchors, what is cut out of a region, and what judges it."""
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

    pyramid = Pyramid(backbone, params.width, pool=True)
    shapes = ((0.5, 1.0, 2.0),) * pyramid.levels
    anchors = AnchorGenerator(tuple((params.anchor * 2**level,) for level in range(pyramid.levels)), shapes)
    return {
        "backbone": pyramid, "rpn_anchor_generator": anchors,
        "box_roi_pool": cut_out(pyramid, params.roi_size, params.roi_samples),
        "box_head": TwoMLPHead(params.width * params.roi_size**2, params.hidden),
        "box_predictor": FastRCNNPredictor(params.hidden, classes + 1), "box_batch_size_per_image": params.sampled,
        "rpn_post_nms_top_n_train": params.proposals, "rpn_post_nms_top_n_test": params.proposals,
        "box_score_thresh": LEAST, "box_nms_thresh": params.nms, "box_detections_per_img": params.most,
        **as_it_is(size),
    }  # fmt: skip


def cut_out(pyramid: Pyramid, size: int, samples: int) -> nn.Module:
    """RoI Align over all levels but the coarsest, whose maps are none of the pyramid's own."""
    from torchvision.ops import MultiScaleRoIAlign

    levels = [str(level) for level in range(pyramid.levels - 1)]
    return MultiScaleRoIAlign(levels, output_size=size, sampling_ratio=samples)
