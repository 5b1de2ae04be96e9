"""MIC: what is hidden in a target image must be told from what is around it."""

import torch
from pydantic import Field
from torch import Tensor

from adapters.segment.domains.base import Losses
from adapters.segment.domains.hrda import Hrda, HrdaParams
from adapters.segment.domains.mean_teacher import weighted_cross_entropy
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches


class MicParams(HrdaParams):
    masked: float = Field(1.0, ge=0, le=100, description="weight of the loss on masked target images; 0 is off")
    block: int = Field(64, ge=1, le=1024, description="side of the blocks that are hidden, in pixels")
    ratio: float = Field(0.7, ge=0, le=1, description="share of the blocks that are hidden")
    detail: float = Field(
        0.0, ge=0, lt=1, description="weight of the detail's loss at two resolutions, 0.1 in HRDA; 0 is one resolution"
    )


@register("segment/mic")
class Mic(Hrda):
    """DAFormer or, with `detail`, HRDA, whose network also learns the teacher's maps of images with blocks hidden.

    The teacher sees the whole image, the network a masked one in other colours; weights as of all pseudo-labels.
    Section 3.2.
    """

    title = "MIC"
    paper = "Hoyer et al. 2023, MIC: Masked Image Consistency for Context-Enhanced Domain Adaptation"
    Params = MicParams
    views = 3

    def adapt(self, batch: StreamBatches, at: Step) -> Losses:
        pseudo = self.pseudo_labels(batch.target.images)
        losses = {}
        if self.params.weight:
            losses["target"] = self.params.weight * batch.target.mean(self.taught(batch, pseudo))
        if self.params.masked:
            images = self.colours.disturbed(batch.target.images) if self.params.strong else batch.target.images
            logits = self.network.predict(images * shown_blocks(images, self.params.block, self.params.ratio))
            masked = batch.target.mean(weighted_cross_entropy(logits, pseudo.labels, pseudo.weights))
            losses["masked"] = self.params.masked * masked
        return losses, {"sure": batch.target.mean(pseudo.weights)}


def shown_blocks(images: Tensor, block: int, ratio: float) -> Tensor:
    """1 where images [B, 3, H, W] are shown, 0 in blocks each hidden by chance `ratio`: [B, 1, H, W].

    Section 3.2. A hidden pixel of a normalised image has the mean colour.
    """
    height, width = images.shape[-2:]
    rows, columns = -(-height // block), -(-width // block)
    shown = (torch.rand(len(images), 1, rows, columns) >= ratio).to(images)
    return shown.repeat_interleave(block, 2).repeat_interleave(block, 3)[..., :height, :width]
