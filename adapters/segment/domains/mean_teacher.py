"""Mean teacher: a slow copy of the network draws class maps on target images, and the network learns from them."""

import copy
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adapters.backbones.pyramid_maps import resized
from adapters.segment.base import Segmenter
from adapters.segment.domains.base import DomainParams, DomainSegmenter, Losses
from adapters.segment.domains.class_mix import half_of_classes, laid_over
from studio.core.faces import LearnerContext
from studio.core.phases import Teacher
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches
from studio.data.masks.class_map import VOID


class MeanTeacherParams(DomainParams):
    threshold: float = Field(
        0.968, gt=0, le=1, description="an image teaches by the share of its pixels of which the teacher is surer"
    )
    weight: float = Field(1.0, ge=0, le=100, description="weight of what is learned from the teacher's maps; 0 is off")
    decay: float = Field(0.99, ge=0, lt=1, description="how slowly the teacher follows; DAFormer has 0.999")
    strong: bool = Field(True, description="the network sees target images in other colours and blurred")
    mix: bool = Field(False, description="ClassMix: half of a source image's classes are laid over each target image")


@dataclass(frozen=True)
class PseudoLabels:
    """What the teacher says of target images: labels uint8 [B, H, W], and what each pixel counts [B, H, W]."""

    labels: Tensor
    weights: Tensor


@register("segment/mean-teacher")
class MeanTeacher(DomainSegmenter):
    """Self-training: cross-entropy of target images under the maps of an average of the network.

    The teacher sees the image as it is; every pixel of its map is learned, times q, the share of the image's pixels of
    which the teacher is surer than `threshold`. The teacher is what predicts. Tarvainen and Valpola 2017, section 2;
    pseudo-labels as in Hoyer et al. 2022, DAFormer, equations 2-5, which with `mix` are DACS's (Tranheden et al. 2021).
    """

    title = "Mean teacher (masks)"
    paper = "Tarvainen and Valpola 2017, Mean teachers are better role models"
    Params = MeanTeacherParams
    teacher: Segmenter

    def setup(self, context: LearnerContext) -> nn.Module:
        self.teacher = self.network
        return super().setup(context)

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        self.teacher = copy.deepcopy(self.network)
        return {"teacher": self.teacher.module.requires_grad_(False)}

    def adapt(self, batch: StreamBatches, at: Step) -> Losses:
        if not self.params.weight:
            return {}, {}
        pseudo = self.pseudo_labels(batch.target.images)
        learned = self.params.weight * batch.target.mean(self.taught(batch, pseudo))
        return {"target": learned}, {"sure": batch.target.mean(pseudo.weights)}

    def taught(self, batch: StreamBatches, pseudo: PseudoLabels) -> Tensor:
        """The loss [B] of the network on target images under pseudo-labels."""
        images, labels, weights = batch.target.images, pseudo.labels, pseudo.weights
        if self.params.mix:
            chosen = half_of_classes(batch.source.masks)
            images = laid_over(chosen, batch.source.images, images)
            labels = laid_over(chosen, batch.source.masks, labels)
            weights = laid_over(chosen, torch.ones_like(weights), weights)
        if self.params.strong:
            images = self.colours.disturbed(images)
        return weighted_cross_entropy(self.network.predict(images), labels, weights)

    @torch.no_grad()
    def pseudo_labels(self, images: Tensor) -> PseudoLabels:
        logits = resized(self.teacher.predict(images).float(), images.shape[-2:])
        surest, labels = logits.softmax(dim=1).max(dim=1)
        share = (surest > self.params.threshold).float().mean((1, 2), keepdim=True)
        return PseudoLabels(labels.to(torch.uint8), share.expand_as(surest))

    def teachers(self) -> list[Teacher]:
        return [Teacher(self.teacher.module, self.network.module, self.params.decay)]

    def train_mode(self, training: bool) -> None:
        super().train_mode(training)
        self.teacher.train_mode(False)

    def predict(self, images: Tensor) -> Tensor:
        return self.teacher.predict(images)

    def state(self) -> dict[str, Tensor]:
        return self.teacher.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.network.load_state(state)
        self.teacher.load_state(state)

    def inherit(self, state: dict[str, Tensor]) -> None:
        self.network.inherit(state)
        self.teacher.inherit(state)


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy [B], each pixel's times its weight, a mean over all pixels; void ones count 0.

    Logits [B, C, h, w] of any size, labels uint8 and weights [B, H, W].
    """
    full = resized(logits.float(), labels.shape[-2:])
    return (weights * cross_entropy(full, labels.long(), ignore_index=VOID, reduction="none")).mean((1, 2))
