"""Full fine-tuning: every weight moves."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from adapters.finetune.classifier import Classifier, load_into, trained_state, whole_state
from adapters.finetune.explain import explain
from adapters.finetune.prototypes import prototype_head
from adapters.finetune.regularizers import KNOWN, Forward, Regularizer
from studio.core.errors import UsageError
from studio.core.faces import Learner, LearnerContext
from studio.core.phases import Teacher
from studio.core.registry import Params, register
from studio.core.streams import Batch, Step
from studio.device.norms import freeze_statistics

if TYPE_CHECKING:
    import numpy as np


class FullParams(Params):
    backbone_lr: float = Field(0.1, ge=0, le=10, description="learning rate of the backbone, as a multiple of train.lr")
    head_lr: float = Field(1.0, ge=0, le=10, description="learning rate of the head, as a multiple of train.lr")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="each block nearer the input learns this much slower than the next"
    )
    freeze_statistics: bool = Field(
        True, description="keep the pretrained batch-norm statistics, which small batches would spoil"
    )
    head: Literal["prototypes", "random"] = Field(
        "prototypes",
        description="what the new head starts from: the mean features of each class, or chance (also where batch-norm "
        "statistics move, since features then change at once)",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all classes")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the head")
    regularizer: Literal[("none", *KNOWN)] = Field(  # type: ignore[valid-type]
        "none", description="a term beside the loss that keeps what the backbone knew"
    )
    strength: float | None = Field(
        None, ge=0, le=1e6, description="weight of the regularizer; null takes its paper's own"
    )


@register("finetune/full")
class Full(Learner):
    """All weights are trained, the backbone more slowly than the new head.

    The head starts as the nearest class mean (see `prototype_head`): a random one would send aimless
    gradients into the backbone until it has learned.
    Batch-norm statistics stay as pretrained by default: with small batches their drift costs more
    than it gains. Layer-wise learning-rate decay as in BEiT (Bao et al. 2022, appendix) is a choice.
    """

    title = "Full fine-tuning"
    paper = "Yosinski et al. 2014, How transferable are features in deep neural networks?"
    task = "classify"
    Params = FullParams
    module: Classifier
    regularizer: Regularizer | None = None

    def setup(self, context: LearnerContext) -> nn.Module:
        self.module = Classifier(context.backbone, len(context.classes), self.params.dropout, context.seed)
        if self.params.regularizer != "none" and context.training:
            self.regularizer = self._regularizer(context)
        self.adapt(context)
        if self.regularizer is not None:
            self.regularizer.attach()
        return self.module

    def adapt(self, context: LearnerContext) -> None:
        """Chooses what of `self.module` is trained, or adds to it; here everything is."""

    def start_from(self, features: "np.ndarray", labels: "np.ndarray") -> None:
        if self.regularizer is not None:
            self.regularizer.start_from(features, labels)
        if self.starts_solved:
            self.module.head.load_state_dict(self.solved_head(features, labels).state_dict())

    def solved_head(self, features: "np.ndarray", labels: "np.ndarray") -> nn.Linear:
        """The head to start from, of the features [N, D] and labels [N] of the training images."""
        return prototype_head(features, labels, self.module.head.out_features)

    @property
    def starts_solved(self) -> bool:  # type: ignore[override]
        return self.params.head == "probe" or (self.params.head == "prototypes" and not self._statistics_move)

    @property
    def _statistics_move(self) -> bool:
        """Batch-norm statistics follow the batches, so that features are others from the first step on."""
        asked = self.params.regularizer != "none" and KNOWN[self.params.regularizer].moves_statistics
        return self.whole and (asked or not self.params.freeze_statistics)

    @property
    def needs_features(self) -> bool:  # type: ignore[override]
        asked = self.params.regularizer != "none" and KNOWN[self.params.regularizer].needs_features
        return asked or self.starts_solved

    def train_mode(self, training: bool) -> None:
        self.module.train(training)
        if training and not self._statistics_move:
            freeze_statistics(self.module)

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        images, labels = batch.images, batch.labels
        features = self.module.embed(images)
        logits = self.module.classify(features)
        losses = {"loss": functional.cross_entropy(logits, labels, label_smoothing=self.params.label_smoothing)}
        if self.regularizer is not None:
            penalty = self.regularizer.penalty(Forward(images, labels, features, logits))
            losses[self.params.regularizer] = self.regularizer.strength * penalty
        return losses

    def teachers(self) -> list[Teacher]:
        return [] if self.regularizer is None else self.regularizer.teachers()

    def predict(self, images: Tensor) -> Tensor:
        return self.module(images)

    def features(self, images: Tensor) -> Tensor:
        return self.module.embed(images)

    def explain(self, images: Tensor) -> tuple[str, Tensor]:
        return explain(self.module, images)

    def compile(self) -> None:
        self.module.backbone.compile()

    def state(self) -> dict[str, Tensor]:
        return whole_state(self.module) if self.whole else trained_state(self.module)

    def load_state(self, state: dict[str, Tensor]) -> None:
        load_into(self.module, state, self.state())

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        blocks = self.module.backbone.blocks()
        groups = []
        for depth, block in enumerate(blocks):
            scale = self.params.backbone_lr * self.params.layer_decay ** (len(blocks) - 1 - depth)
            groups += decay_groups(block, lr * scale, weight_decay)
        head = decay_groups([self.module.head], lr * self.params.head_lr, weight_decay)
        return groups + head + decay_groups([self.module.aids], lr, weight_decay)

    def _regularizer(self, context: LearnerContext) -> Regularizer:
        cls = KNOWN[self.params.regularizer]
        if cls.moves_statistics and not self.whole:
            raise UsageError(
                f"params.regularizer: {cls.name} moves batch-norm statistics, which {self.id} keeps; "
                "finetune/full and finetune/lp-ft fit it."
            )
        strength = cls.default_strength if self.params.strength is None else self.params.strength
        return cls(self.module, strength, context.seed)


def decay_groups(modules: list[nn.Module], lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters of `modules` in two groups: matrices with weight decay, the rest without."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    split = ([p for p in parameters if p.ndim > 1], weight_decay), ([p for p in parameters if p.ndim <= 1], 0.0)
    return [{"params": params, "lr": lr, "weight_decay": decay} for params, decay in split if params]
