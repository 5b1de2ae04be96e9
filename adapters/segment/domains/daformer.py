"""DAFormer: self-training that holds on to what pretraining knew, on a network whose learning rate warms up."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate, one_hot

from adapters.segment.domains.base import Losses
from adapters.segment.domains.encoders import encoder_of, last_map
from adapters.segment.domains.mean_teacher import MeanTeacher, MeanTeacherParams
from studio.core.errors import UsageError, nearest
from studio.core.faces import LearnerContext
from studio.core.phases import Optimizer
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches
from studio.data.masks.class_map import VOID

PURE = 0.75  # share of a place of the last map that one class has, so that its feature is of that class


class DaformerParams(MeanTeacherParams):
    mix: bool = Field(True, description="ClassMix: half of a source image's classes are laid over each target image")
    feature_distance: float = Field(
        0.005,
        ge=0,
        le=100,
        description="weight of the loss that holds source features to the pretrained ones; 0 is off",
    )
    things: list[str] = Field([], description="classes whose features are held, DAFormer's are things; empty is all")
    warm_up: float = Field(
        0.0375,
        ge=0,
        lt=1,
        description="share of the steps in which the learning rate grows, before it falls evenly; 0 is off: the "
        "network's own schedule",
    )


@register("segment/daformer")
class Daformer(MeanTeacher):
    """Self-training with ClassMix and three parts more, each a switch.

    `feature_distance` is the loss of equations 8-10; `warm_up` the learning rate of section 3.2, and the head learns
    faster than the backbone (the network's `backbone_lr`); rare classes are drawn more often where
    `train.rare_classes` is not 0 (equation 7; 0.01 there). Its network is SegFormer's encoder with a decoder that
    looks at several reaches: segment/segformer, or any other here.
    """

    title = "DAFormer"
    paper = "Hoyer et al. 2022, DAFormer: Improving Network Architectures and Training Strategies for Domain-Adaptive Semantic Segmentation"  # noqa: E501
    Params = DaformerParams

    def setup(self, context: LearnerContext) -> nn.Module:
        module = super().setup(context)
        if context.training and self.params.feature_distance:
            self._held = _indices(self.params.things, context.classes)
            self.encoder().register_forward_hook(self._keep)  # after the copies were made, which shall not call it
        return module

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        if not self.params.feature_distance:
            return super().aids(context)
        pretrained = copy.deepcopy(self.encoder()).requires_grad_(False)
        return {**super().aids(context), "pretrained": pretrained}

    def losses(self, batch: StreamBatches, at: Step) -> Losses:
        seen = self.seen(batch)
        supervised = self.network.losses(seen, at)
        if self.params.feature_distance:
            before = self.pretrained_maps(seen.images)
            distance = feature_distance(last_map(self._maps), before, seen.masks, self._held)
            supervised["feature_distance"] = self.params.feature_distance * distance.mean()
        adapting, logged = self.adapt(batch, at)
        return supervised | adapting, logged

    @torch.no_grad()
    def pretrained_maps(self, images: Tensor) -> Tensor:
        """The last map [B, D, h, w] that the encoder made of images before anything was trained."""
        return last_map(self.module.aids["pretrained"](images))

    def encoder(self) -> nn.Module:
        """The part of the network that makes maps. Raises UsageError where there is none to watch."""
        return encoder_of(self.network, "feature_distance")

    def optimizers(self, lr: float, weight_decay: float) -> dict[str, Optimizer]:
        own = super().optimizers(lr, weight_decay)
        if not self.params.warm_up:
            return own
        warm = self.params.warm_up
        return {name: Optimizer(one.groups, one.make, lambda at: warmed(at, warm)) for name, one in own.items()}

    def train_mode(self, training: bool) -> None:
        super().train_mode(training)
        if "pretrained" in self.module.aids:
            self.module.aids["pretrained"].eval()

    def _keep(self, module: nn.Module, arguments: Any, maps: Any) -> None:
        self._maps = maps


def warmed(at: Step, warm: float) -> float:
    """Learning-rate factor: evenly up for the share `warm` of the steps, then evenly down to 0. Section 3.2."""
    if at.step < warm * at.total:
        return (at.step + 1) / (warm * at.total + 1)
    return (1 - at.progress) / (1 - warm)


def feature_distance(features: Tensor, before: Tensor, masks: Tensor, held: Sequence[int] | None) -> Tensor:
    """Mean distance [B] of features [B, D, h, w] from what they were, over the places of one class.

    Of maps uint8 [B, H, W]; a place counts where PURE of its pixels are of one class, one of `held` where that is not
    None. 0 for an image without such a place. Equations 8-10.
    """
    distance = (features.float() - before.float()).norm(dim=1)
    counted = pure_places(masks, tuple(distance.shape[-2:]), held)
    return (distance * counted).sum((1, 2)) / counted.sum((1, 2)).clamp(min=1)


def pure_places(masks: Tensor, size: tuple[int, ...], held: Sequence[int] | None) -> Tensor:
    """1 where a place of a map of `size` is of one class, float [B, h, w], of maps uint8 [B, H, W]."""
    known = masks != VOID
    shares = one_hot(masks.long() * known, int(masks[known].max()) + 1 if known.any() else 1).permute(0, 3, 1, 2)
    shares = interpolate((shares * known.unsqueeze(1)).float(), size=size, mode="area")
    largest, labels = shares.max(dim=1)
    pure = largest >= PURE
    if held is not None:
        pure &= torch.isin(labels, torch.tensor(held, device=labels.device))
    return pure.float()


def _indices(names: Sequence[str], classes: list[str]) -> list[int] | None:
    """Of the named classes; None for all. Raises UsageError for one that is none."""
    for name in names:
        if name not in classes:
            raise UsageError(f"params.things: there is no class {name!r}.{nearest(name, classes)}")
    return [classes.index(name) for name in names] or None
