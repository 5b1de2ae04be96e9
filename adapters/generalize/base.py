"""What every method of generalization shares: one network on all sources, and the risk of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adapters.finetune.classifier import Classifier, load_into, whole_state
from adapters.finetune.explain import explain
from adapters.finetune.full import decay_groups
from adapters.finetune.run.first_head import HEAD_EPOCHS
from studio.core.faces import Learner, LearnerContext
from studio.core.registry import Params
from studio.core.streams import Batch, Sources, Step, StreamBatches
from studio.device.norms import freeze_statistics


class GeneralizeParams(Params):
    backbone_lr: float = Field(0.1, ge=0, le=10, description="learning rate of the backbone, as a multiple of train.lr")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the head")
    freeze_statistics: bool = Field(
        True, description="keep the pretrained batch-norm statistics; false for a backbone that starts untrained"
    )
    head_epochs: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        None,
        description="epochs in which the head learns the sources before the backbone moves; null: 30 where it was "
        "trained before, which backbone_lr below 1 says, else 0",
    )

    @property
    def first_epochs(self) -> int:
        """Epochs of the head alone."""
        return HEAD_EPOCHS * (self.backbone_lr < 1) if self.head_epochs is None else self.head_epochs


@dataclass(frozen=True)
class Seen:
    """A source's batch as the network sees it: features [B, D] and logits [B, C], at least float32."""

    batch: Batch
    features: Tensor
    logits: Tensor

    @property
    def risk(self) -> Tensor:
        """Mean cross-entropy, a scalar; exact too where a batch is computed in parts."""
        return self.batch.mean(cross_entropy(self.logits, self.batch.labels, reduction="none"))


class Generalizer(Learner):
    """Fills `losses`, mostly from `see`; what only training needs is built in `build`, into `self.module.aids`.

    Statistics of a batch (covariances, variances over it) are of the part that is computed at once: with
    train.micro_batch they are of fewer images.
    """

    task = "generalize"
    uses = ("data.sources", "data.test", "train.epochs", "train.lr")
    streams = (Sources,)
    Params = GeneralizeParams
    module: Classifier
    #: its weights are its own choice from what it saw in training (`finish`); no epoch is picked
    chooses: ClassVar[bool] = False

    def setup(self, context: LearnerContext) -> nn.Module:
        self.module = Classifier(context.backbone, len(context.classes), self.params.dropout, context.seed)
        if context.training:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(context.seed)
                self.build(context.extra.get("sources", 2))
        self.attach()
        return self.module

    def build(self, sources: int) -> None:
        """Adds to `self.module.aids` what training on so many sources needs."""

    def attach(self) -> None:
        """Changes what the layers of the network compute, for good. Raises UsageError where it does not fit them."""

    def see(self, sources: Sequence[Batch]) -> list[Seen]:
        """All sources through the network in one pass."""
        sizes = [len(source) for source in sources]
        features = self.module.embed(torch.cat([source.images for source in sources]))
        logits = self.module.classify(features)
        parts = zip(sources, single(features).split(sizes), single(logits).split(sizes), strict=True)
        return [Seen(*part) for part in parts]

    def losses(self, batch: StreamBatches, at: Step) -> Any:
        return {"classify": mean_risk(self.see(batch.sources))}

    def finish(self) -> None:
        """Puts the weights that are to be kept into the network, where they are not those of the last step."""

    def train_mode(self, training: bool) -> None:
        self.module.train(training)
        if training and self.params.freeze_statistics:
            freeze_statistics(self.module)

    def heads(self) -> list[nn.Module]:
        """What follows the backbone."""
        return [self.module.head]

    def classify_features(self, features: Tensor) -> Tensor:
        """Logits [B, C] of the backbone's features [B, D], before the network moves."""
        return self.module.classify(features)

    def predict(self, images: Tensor) -> Tensor:
        return self.module(images)

    def features(self, images: Tensor) -> Tensor:
        return self.module.embed(images)

    def explain(self, images: Tensor) -> tuple[str, Tensor]:
        return explain(self.module, images)

    def compile(self) -> None:
        self.module.backbone.compile()

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        backbone = decay_groups([self.module.backbone], lr * self.params.backbone_lr, weight_decay)
        return backbone + decay_groups([self.module.head, self.module.aids], lr, weight_decay)

    def state(self) -> dict[str, Tensor]:
        return whole_state(self.module)

    def load_state(self, state: dict[str, Tensor]) -> None:
        load_into(self.module, state, self.state())


def single(tensor: Tensor) -> Tensor:
    """In single precision, where mixed precision made it half; a double stays one."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def mean_risk(seen: Sequence[Seen]) -> Tensor:
    """The mean of the sources' risks, a scalar."""
    return torch.stack([source.risk for source in seen]).mean()
