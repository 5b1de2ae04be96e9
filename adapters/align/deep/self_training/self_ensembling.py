"""Self-ensembling: the network learns to say of the target what a slow average of itself says."""

import copy

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adapters.align.deep.base import AligningParams, DeepLearner, Losses
from adapters.finetune.classifier import whole_state
from studio.core.faces import LearnerContext
from studio.core.phases import Teacher
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches
from studio.device.norms import batch_norms


class SelfEnsemblingParams(AligningParams):
    weight: float = Field(3.0, ge=0, le=1000, description="weight of the agreement beside the classification")
    ramp: float = Field(0.0, ge=0, le=100, description="how quickly that weight grows from 0; 0 has it whole at once")
    sure: float = Field(0.968, ge=0, le=1, description="probability from which what the teacher says is learned")
    balance: float = Field(0.01, ge=0, le=10, description="weight of the loss against classes that are never said")
    decay: float = Field(0.99, ge=0, lt=1, description="how slowly the teacher follows")


@register("align/self-ensembling")
class SelfEnsembling(DeepLearner):
    """Squared difference of the student's and the teacher's predictions of two views of a target image.

    Where the teacher is sure (confidence threshold), and with the class balance loss. Each domain goes through the
    network by itself; the teacher, which is what predicts, has batch statistics of the target alone.

    French et al. 2018, sections 3.1-3.4.
    """

    title = "Self-ensembling"
    paper = "French et al. 2018, Self-Ensembling for Visual Domain Adaptation"
    Params = SelfEnsemblingParams
    strong = True

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        parts = {"backbone": self.module.backbone, "bottleneck": self.module.bottleneck, "head": self.module.head}
        return {"teacher": nn.ModuleDict(copy.deepcopy(parts)).requires_grad_(False)}

    def losses(self, batch: StreamBatches, at: Step) -> Losses:
        classify = cross_entropy(self.module(batch.source.images), batch.source.labels)
        student = self.module(batch.target.strong).float().softmax(dim=1)
        with torch.no_grad():
            teacher = self.answer(batch.target.images)[1].float().softmax(dim=1)
        sure = (teacher.max(dim=1).values >= self.params.sure).float()
        differ = batch.target.mean(sure * (student - teacher).square().mean(dim=1))
        balance = batch.target.mean(sure) * balance_loss(student)
        strength = self.strength(at) * student.shape[1]  # the paper sums over classes
        losses = {"classify": classify, "agree": strength * differ, "balance": self.params.balance * strength * balance}
        return losses, {"sure": batch.target.mean(sure)}

    def teachers(self) -> list[Teacher]:
        teacher = self._teacher()
        return [] if teacher is None else [
            Teacher(teacher[name], getattr(self.module, name), self.params.decay, buffers=False) for name in teacher
        ]  # fmt: skip

    def train_mode(self, training: bool) -> None:
        super().train_mode(training)
        teacher = self._teacher()
        if teacher is not None:  # a backbone in which nothing learns would stay in eval mode
            for norm in batch_norms(teacher["backbone"]):
                norm.train(training and not self.keeps_statistics)

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        teacher = self._teacher()
        if teacher is None:
            return super().answer(images)
        features = teacher["bottleneck"](teacher["backbone"](images))
        return features, teacher["head"](features)

    def state(self) -> dict[str, Tensor]:
        teacher = self._teacher()
        return whole_state(self.module) if teacher is None else dict(teacher.state_dict())

    def load_state(self, state: dict[str, Tensor]) -> None:
        super().load_state(state)
        if (teacher := self._teacher()) is not None:
            teacher.load_state_dict(state)

    def _teacher(self) -> nn.ModuleDict | None:
        return dict(self.module.aids.items()).get("teacher")


def balance_loss(predictions: Tensor) -> Tensor:
    """Cross-entropy between even classes and the mean of predictions [B, C], from its least (section 3.4)."""
    mean = predictions.mean(dim=0).clamp_min(1e-6)
    return -(mean * len(mean)).log().mean()
