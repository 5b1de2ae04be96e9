"""Full fine-tuning: every weight moves."""

from typing import Any

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from adapters.finetune.classifier import Classifier, freeze_statistics, load_trained_state, trained_state
from studio.core.faces import Learner, LearnerContext
from studio.core.registry import Params, register


class FullParams(Params):
    backbone_lr: float = Field(0.1, ge=0, le=10, description="learning rate of the backbone, as a multiple of train.lr")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="each block nearer the input learns this much slower than the next"
    )
    freeze_statistics: bool = Field(
        True, description="keep the pretrained batch-norm statistics, which small batches would spoil"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all classes")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the head")


@register("finetune/full")
class Full(Learner):
    """All weights are trained, the backbone more slowly than the new head.

    Batch-norm statistics stay as pretrained by default: with small batches their drift costs more
    than it gains. Layer-wise learning-rate decay as in BEiT (Bao et al. 2022, appendix) is a choice.
    """

    title = "Full fine-tuning"
    paper = "Yosinski et al. 2014, How transferable are features in deep neural networks?"
    task = "classify"
    Params = FullParams
    module: Classifier

    def setup(self, context: LearnerContext) -> nn.Module:
        self.module = Classifier(context.backbone, len(context.classes), self.params.dropout, context.seed)
        return self.module

    def train_mode(self, training: bool) -> None:
        self.module.train(training)
        if training and self.params.freeze_statistics:
            freeze_statistics(self.module)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        logits = self.module(batch["images"])
        return {"loss": functional.cross_entropy(logits, batch["labels"], label_smoothing=self.params.label_smoothing)}

    def predict(self, images: Tensor) -> Tensor:
        return self.module(images)

    def state(self) -> dict[str, Tensor]:
        return self.module.state_dict() if self.whole else trained_state(self.module)

    def load_state(self, state: dict[str, Tensor]) -> None:
        if self.whole:
            self.module.load_state_dict(state)
        else:
            load_trained_state(self.module, state)

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        blocks = self.module.backbone.blocks()
        groups = []
        for depth, block in enumerate(blocks):
            scale = self.params.backbone_lr * self.params.layer_decay ** (len(blocks) - depth)
            groups += decay_groups(block, lr * scale, weight_decay)
        return groups + decay_groups([self.module.head], lr, weight_decay)


def decay_groups(modules: list[nn.Module], lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters of `modules` in two groups: matrices with weight decay, the rest without."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    split = ([p for p in parameters if p.ndim > 1], weight_decay), ([p for p in parameters if p.ndim <= 1], 0.0)
    return [{"params": params, "lr": lr, "weight_decay": decay} for params, decay in split if params]
