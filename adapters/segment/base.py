"""What all networks for class maps share: a backbone's maps, a head, losses, learning rates; and blocks of heads."""

import math
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.backbones.pyramid_maps import PyramidMaps, resized
from adapters.backbones.seeds import seeded
from adapters.finetune.classifier import load_into
from adapters.finetune.lora import add_updates, find_targets, merged
from adapters.segment.losses import loss_of, median_frequency
from studio.core.errors import UsageError
from studio.core.faces import Learner, LearnerContext
from studio.core.phases import ALL, Optimizer
from studio.core.registry import Params
from studio.core.streams import Batch, Step
from studio.device.norms import freeze_statistics

GROUPS = 16
AUXILIARY = 0.4  # weight of the loss of an auxiliary head; Zhao et al. 2017, PSPNet, section 3.3
LAST = ("classifier", "class_predictor", "empty_weight", "head.head.4.")  # in names of tensors with a row a class


class SegmentParams(Params):
    loss: Literal[
        "cross-entropy", "ohem", "focal", "dice", "lovasz", "cross-entropy+dice", "cross-entropy+lovasz", "ohem+dice"
    ] = Field("cross-entropy", description="what is minimised; + joins two")
    balance: bool = Field(False, description="weigh the pixels of a class by median frequency, so that rare ones count")
    backbone_lr: float = Field(
        0.1, ge=0, le=10, description="learning rate of the backbone, as a multiple of train.lr; 0 leaves it as it is"
    )
    lora: int = Field(
        0, ge=0, le=512, description="rank of low-rank updates (LoRA) that learn in place of the backbone's weights; "
        "0 is none"
    )  # fmt: skip
    freeze_statistics: bool = Field(
        True, description="keep the pretrained batch-norm statistics, which small batches would spoil"
    )
    schedule: Literal["cosine", "poly"] = Field(
        "cosine", description="how the learning rate falls after a warm-up: half a cosine, or (1 - p)^0.9"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout before the last layer")


class Network(nn.Module):
    """images [B, 3, H, W] -> logits [B, C, h, w], finer or coarser than the images."""

    def __init__(self, maps: PyramidMaps, head: nn.Module, auxiliary: nn.Module | None = None) -> None:
        super().__init__()
        self.maps, self.head, self.auxiliary = maps, head, auxiliary

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.maps(images))

    def outputs(self, images: Tensor) -> list[tuple[str, float, Tensor]]:
        """All that has a loss: a name to go before that of the loss, a weight, logits."""
        maps = self.maps(images)
        found = [("", 1.0, self.head(maps))]
        return found + ([("auxiliary_", AUXILIARY, self.auxiliary(maps))] if self.auxiliary is not None else [])


class Segmenter(Learner):
    """A network for class maps on a backbone. A subclass builds its `head` on maps at its `strides`.

    `losses` gets images [B, 3, S, S] and masks uint8 [B, S, S]; `predict` gives logits [B, C, h, w].
    """

    task = "segment"
    uses = ("data.train", "model.image_size", "train.epochs", "train.lr")
    Params = SegmentParams
    strides: ClassVar[tuple[int, ...]] = (4, 8, 16, 32)
    #: a second head on this map of `strides` learns beside the first, and is left out of predictions
    auxiliary_on: ClassVar[int | None] = None
    #: it is solved at one look (`solve`), not trained
    solved: ClassVar[bool] = False
    #: weights of the classes in the losses of pixels, where `params.balance`
    weights: Tensor | None = None
    _backbone: nn.Module

    def head(self, channels: list[int], classes: int) -> nn.Module:
        """A module from maps at `strides`, of so many channels each, to logits [B, C, h, w]."""
        raise NotImplementedError

    def setup(self, context: LearnerContext) -> nn.Module:
        self._backbone = context.backbone
        with seeded(context.seed):
            self.module = self.build(context)
        if self.params.lora:
            self._add_updates(context)
        elif self.params.backbone_lr == 0:
            self._backbone.requires_grad_(False)
        return self.module

    def _add_updates(self, context: LearnerContext) -> None:
        image = torch.zeros(1, 3, context.image_size, context.image_size)
        self.train_mode(False)
        targets = find_targets(self._backbone, "attention", lambda: self.predict(image))
        add_updates(self._backbone, targets, context.seed, self.params.lora, alpha=2.0 * self.params.lora)

    def build(self, context: LearnerContext) -> nn.Module:
        """The whole network."""
        maps, classes = PyramidMaps(context.backbone, self.strides), len(context.classes)
        head = self.head(maps.channels, classes)
        auxiliary = None
        if self.auxiliary_on is not None and context.training:
            auxiliary = Auxiliary(self.auxiliary_on, maps.channels[self.auxiliary_on], classes)
        return Network(maps, head, auxiliary)

    @property
    def any_size(self) -> bool:
        """It takes images of every size, not of model.image_size alone."""
        return getattr(getattr(self.module, "maps", None), "any_size", False)

    @property
    def resampled(self) -> bool:
        """Its backbone lacks some of the maps that it asks for."""
        return getattr(getattr(self.module, "maps", None), "resampled", False)

    def look_at(self, pixels: Tensor) -> None:
        """Called once before training: pixels int64 [N, C] of each class in each image."""
        if self.params.balance:
            self.weights = median_frequency(pixels)

    def solve(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Where `solved`: learns from normalised images [B, 3, h, w] and their maps uint8 [B, h, w], once."""
        raise NotImplementedError

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        for prefix, weight, logits in self.module.outputs(batch.images):
            losses |= self.mask_losses(logits, batch.masks, prefix, weight)
        return losses

    def mask_losses(self, logits: Tensor, masks: Tensor, prefix: str = "", weight: float = 1.0) -> dict[str, Tensor]:
        """`params.loss` of logits [B, C, h, w] at the size of the masks uint8 [B, H, W], by name, times `weight`."""
        weights = self.weights.to(masks.device) if self.weights is not None else None
        values = loss_of(self.params.loss, resized(logits.float(), masks.shape[-2:]), masks, weights)
        return {f"{prefix}{name}": weight * value for name, value in values.items()}

    def predict(self, images: Tensor) -> Tensor:
        return self.module(images)

    def optimizers(self, lr: float, weight_decay: float) -> dict[str, Optimizer]:
        schedule = poly if self.params.schedule == "poly" else None
        return {ALL: Optimizer(self.param_groups(lr, weight_decay), schedule=schedule)}

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """The backbone by `params.backbone_lr`; biases and norms get no weight decay."""
        own = {id(parameter) for parameter in self._backbone.parameters()}
        parts: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for parameter in self.module.parameters():
            if parameter.requires_grad:
                parts[id(parameter) in own].append(parameter)
        groups = []
        for inside, part in parts.items():
            rate = lr * (self.params.backbone_lr if inside and not self.params.lora else 1.0)
            groups.append({"params": [p for p in part if p.ndim > 1], "lr": rate, "weight_decay": weight_decay})
            groups.append({"params": [p for p in part if p.ndim <= 1], "lr": rate, "weight_decay": 0.0})
        return groups

    def train_mode(self, training: bool) -> None:
        self.module.train(training)
        if training and self.params.freeze_statistics:
            freeze_statistics(self._backbone)
        if training and self.params.backbone_lr == 0 and not self.params.lora:
            self._backbone.eval()

    def export_module(self) -> nn.Module:
        return merged(self.module) if self.params.lora else self.module

    def state(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in self.module.state_dict().items() if not name.startswith("auxiliary.")}

    def load_state(self, state: dict[str, Tensor]) -> None:
        load_into(self.module, state, self.state())

    def inherit(self, state: dict[str, Tensor]) -> None:
        """Takes over the tensors of the same network made for other classes, without its last layers.

        Raises UsageError where others differ too.
        """
        own = self.state()
        kept = {name: tensor for name, tensor in state.items() if not any(part in name for part in LAST)}
        odd = [name for name, tensor in kept.items() if name not in own or own[name].shape != tensor.shape]
        if odd:
            raise UsageError(
                f"model.checkpoint: it does not fit this network: {', '.join(odd[:3])}. Use its params and backbone."
            )
        self.module.load_state_dict(kept, strict=False)

    def save_hugging_face(self, preprocess: Any, classes: list[str], folder: Any) -> None:
        """Writes a folder for AutoModelForSemanticSegmentation; UsageError where the network is none of its."""
        raise UsageError(f"format hf: {self.id} is no network of transformers; it exports as safetensors and ONNX.")


class Auxiliary(nn.Module):
    """A small head on one of the maps: logits [B, C, h, w]. Zhao et al. 2017, PSPNet, section 3.3."""

    def __init__(self, place: int, channels: int, classes: int) -> None:
        super().__init__()
        self.place = place
        self.layers = nn.Sequential(block(channels, max(32, channels // 4)), nn.Dropout(0.1))
        self.classifier = nn.Conv2d(max(32, channels // 4), classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        return self.classifier(self.layers(maps[self.place]))


def poly(at: Step, power: float = 0.9, warm: float = 0.05) -> float:
    """Learning-rate factor: evenly up for 5 % of the steps, then (1 - p)^0.9. Liu et al. 2015, ParseNet, section 3."""
    return (1 - at.progress) ** power * min(1.0, (at.step + 1) / max(1.0, warm * at.total))


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation, which small batches and maps of a single place don't spoil. Wu and He 2018."""
    groups = math.gcd(channels, GROUPS)
    while groups > 1 and channels // groups < 4:  # a group of one channel is no group where a map has one place
        groups //= 2
    return nn.GroupNorm(groups, channels)


def block(inside: int, outside: int, kernel: int = 3, groups: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution that keeps the size, group normalisation, ReLU."""
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(inside, outside, kernel, padding=padding, groups=groups, dilation=dilation, bias=False)
    return nn.Sequential(convolution, norm(outside), nn.ReLU(inplace=True))


def separable(inside: int, outside: int, dilation: int = 1) -> nn.Sequential:
    """A depthwise convolution and one of single pixels. Chollet 2017, Xception."""
    return nn.Sequential(block(inside, inside, 3, groups=inside, dilation=dilation), block(inside, outside, 1))


def grouped(module: nn.Module) -> nn.Module:
    """The module with group in place of batch normalisation."""
    for name, part in module.named_children():
        if isinstance(part, nn.BatchNorm2d):
            setattr(module, name, norm(part.num_features))
        else:
            grouped(part)
    return module


def summed(maps: list[Tensor]) -> Tensor:
    """The sum of maps of one width, brought to the size of the first."""
    size = maps[0].shape[-2:]
    return torch.stack([maps[0], *(resized(one, size) for one in maps[1:])]).sum(0)
