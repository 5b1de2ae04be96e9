"""What every deep alignment shares: the network, both domains' forward pass, learning rates, the state."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adapters.align.deep.network import AligningNetwork
from adapters.backbones.seeds import seeded
from adapters.finetune.classifier import load_into, whole_state
from adapters.finetune.full import decay_groups
from adapters.finetune.run.first_head import HEAD_EPOCHS
from studio.core.faces import Learner, LearnerContext
from studio.core.registry import Params
from studio.core.streams import Batch, Source, Step, StreamBatches, Target
from studio.device.norms import freeze_statistics, still_statistics
from studio.device.precision import full_precision

Losses = dict[str, Tensor] | tuple[dict[str, Tensor], dict[str, Tensor]]


class DeepParams(Params):
    bottleneck: int = Field(
        256, ge=0, le=8192, description="width of the layer in which the domains meet, before the head; 0 leaves it out"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the head")
    backbone_lr: float = Field(0.1, ge=0, le=10, description="learning rate of the backbone, as a multiple of train.lr")
    statistics: Literal["own", "mixed"] | None = Field(
        None,
        description="own: batch normalisation sees each domain by itself, and predicts by the target's statistics; "
        "mixed: both together; null: own, and mixed where the domains may have other classes",
    )
    freeze_statistics: bool | None = Field(
        None,
        description="keep the backbone's batch-norm statistics; null: where it was trained before, which backbone_lr "
        "below 1 says",
    )
    head_epochs: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        None,
        description="epochs in which bottleneck and head learn the source before the backbone moves; null: 30 where it "
        "was trained before, else 0",
    )

    @property
    def trained_before(self) -> bool:
        """Whether the backbone is taken for one that was trained: it learns more slowly than what is new."""
        return self.backbone_lr < 1

    @property
    def first_epochs(self) -> int:
        """Epochs of bottleneck and head alone."""
        return HEAD_EPOCHS * self.trained_before if self.head_epochs is None else self.head_epochs


class AligningParams(DeepParams):
    weight: float = Field(1.0, ge=0, le=1000, description="weight of the alignment beside the classification")
    ramp: float = Field(
        10.0, ge=0, le=100, description="how quickly that weight grows from 0 in training; 0 has it whole at once"
    )


@dataclass(frozen=True)
class View:
    """One domain's part of a step: its batch, features [B, D] and logits [B, C]."""

    batch: Batch
    features: Tensor
    logits: Tensor

    @property
    def probabilities(self) -> Tensor:
        """[B, C]."""
        return self.logits.softmax(dim=1)


class DeepLearner(Learner):
    """A network that classifies the source while `align` brings the target to it; no target label ever enters."""

    task = "align"
    streams = (Source, Target)
    uses = (
        "data.source", "data.target", "data.test", "train.epochs", "train.lr", "eval.score", "eval.source_only",
        "eval.unknown", "eval.fallback", "eval.map", "eval.film",
    )  # fmt: skip
    Params = DeepParams
    module: AligningNetwork
    #: which classes the target has: the source's, some of them, or others too
    setting: ClassVar[Literal["closed", "partial", "open"]] = "closed"
    #: it starts from `model.checkpoint`
    needs_checkpoint: ClassVar[bool] = False
    #: batches of the target have `strong` too: the same images, changed much
    strong: ClassVar[bool] = False
    #: it lives by batch-norm statistics that follow the batches
    moves_statistics: ClassVar[bool] = False
    #: `see_target` is told of the whole target
    sees_whole: ClassVar[bool] = False

    @classmethod
    def classes_of(cls, classes: list[str]) -> list[str]:
        """What it answers with, where the source has `classes`."""
        return classes

    def setup(self, context: LearnerContext) -> nn.Module:
        with seeded(context.seed):
            self.module = self.network(context)
            if context.training:
                self.module.aids.update(self.aids(context))
        return self.module

    def network(self, context: LearnerContext) -> AligningNetwork:
        """The network that is trained and kept."""
        return AligningNetwork(context.backbone, len(context.classes), self.params.bottleneck, self.params.dropout)

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        """What only training needs, such as a discriminator."""
        return {}

    def losses(self, batch: StreamBatches, at: Step) -> Losses:
        source, target = self.look(batch)
        with full_precision(source.features):
            losses, logged = _both(self.align(source, target, at))
            return {"classify": self.classify(source), **losses}, logged

    def classify(self, source: View) -> Tensor:
        """The loss of the source's labels."""
        return cross_entropy(source.logits, source.batch.labels)

    def align(self, source: View, target: View, at: Step) -> Losses:
        """Named losses that bring the target to the source; beside them what is only logged."""
        raise NotImplementedError

    def look(self, batch: StreamBatches) -> tuple[View, View]:
        """Both domains through the network: each by itself, or in one batch where their statistics are mixed.

        Features and logits are float32 whatever the network computes in: differences of distances are small.
        """
        statistics = self.params.statistics or ("own" if self.setting == "closed" else "mixed")
        if statistics == "own":
            with still_statistics(self.module):
                source = self.view(batch.source)
            return source, self.view(batch.target)
        return self.together(batch)

    def together(self, batch: StreamBatches) -> tuple[View, View]:
        """Both domains in one batch."""
        features = self.module.embed(torch.cat([batch.source.images, batch.target.images]))
        counts = [len(batch.source), len(batch.target)]
        logits = self.module.classify(features).float()
        pairs = zip(features.float().split(counts), logits.split(counts), strict=True)
        source, target = (View(domain, *pair) for domain, pair in zip((batch.source, batch.target), pairs, strict=True))
        return source, target

    def view(self, batch: Batch) -> View:
        """A batch through the network by itself."""
        features = self.module.embed(batch.images)
        return View(batch, features.float(), self.module.classify(features).float())

    def heads(self) -> list[nn.Module]:
        """What follows the backbone."""
        return [self.module.bottleneck, self.module.head]

    def classify_features(self, features: Tensor) -> Tensor:
        """Logits [B, C] of the backbone's features [B, D] of the source, before the network moves."""
        return self.module.classify(self.module.bottleneck(features))

    def strength(self, at: Step) -> float:
        """The weight of the alignment now, for methods with AligningParams."""
        return self.params.weight * (at.ramp(self.params.ramp) if self.params.ramp else 1.0)

    def see_target(self, features: Tensor, logits: Tensor) -> None:
        """Where `sees_whole`: the target as the network sees it, features [N, D], logits [N, C], after each epoch, and
        before training where `starts_solved`."""

    def train_mode(self, training: bool) -> None:
        self.module.train(training)
        if training and self.keeps_statistics:
            freeze_statistics(self.module.backbone)

    @property
    def keeps_statistics(self) -> bool:
        """Whether the backbone's batch normalisations stay as they are: small batches would spoil what was trained."""
        asked = self.params.freeze_statistics
        return self.params.trained_before and not self.moves_statistics if asked is None else asked

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, D] and logits [B, C] of the target's images [B, 3, H, W], as they are predicted."""
        features = self.module.embed(images)
        return features, self.module.classify(features)

    def predict(self, images: Tensor) -> Tensor:
        return self.answer(images)[1]

    def features(self, images: Tensor) -> Tensor:
        return self.answer(images)[0]

    def export_module(self) -> nn.Module | None:
        """None where a bottleneck lies between backbone and head."""
        return None if self.params.bottleneck else self.module

    def compile(self) -> None:
        self.module.backbone.compile()

    def state(self) -> dict[str, Tensor]:
        return whole_state(self.module)

    def load_state(self, state: dict[str, Tensor]) -> None:
        load_into(self.module, state, self.state())

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        return self.network_groups(lr, weight_decay) + decay_groups([self.module.aids], lr, weight_decay)

    def network_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own parameters: the backbone slower than bottleneck and head."""
        groups = decay_groups([self.module.backbone], lr * self.params.backbone_lr, weight_decay)
        return groups + decay_groups([self.module.bottleneck, self.module.head], lr, weight_decay)


def _both(returned: Losses) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return returned if isinstance(returned, tuple) else (returned, {})
