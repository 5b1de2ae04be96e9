"""Co-Tuning: the pretrained classifier goes on learning, taught by how old classes relate to new ones."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapters.finetune.regularizers.base import Forward, Regularizer, source_head

if TYPE_CHECKING:
    import numpy as np


class CoTuning(Regularizer):
    """Cross-entropy of the source classifier against p(source class | target class).

    The relation is the mean source probability over the training images of each target class (the direct
    approach). You et al. 2020, section 3.2 and eq. 4.
    """

    name = "co-tuning"
    paper = "You et al. 2020, Co-Tuning for Transfer Learning"
    default_strength = 2.3
    needs_features = True

    def attach(self) -> None:
        head = source_head(self.classifier.backbone, self.name)
        self.classifier.aids["source"] = head
        self.classifier.aids["relation"] = Relation(self.classifier.head.out_features, head.out_features)

    def start_from(self, features: "np.ndarray", labels: "np.ndarray") -> None:
        head = self.classifier.aids["source"]
        device = head.weight.device
        with torch.no_grad():
            probabilities = head(torch.from_numpy(features).to(device)).softmax(dim=1)
        relation = self.classifier.aids["relation"].table
        relation.copy_(mean_by_class(probabilities, torch.from_numpy(labels).to(device), len(relation)))

    def penalty(self, forward: Forward) -> Tensor:
        relation = self.classifier.aids["relation"].table
        soft = forward.labels
        wanted = relation[soft] if soft.ndim == 1 else soft @ relation
        return functional.cross_entropy(self.classifier.aids["source"](forward.features), wanted)


class Relation(nn.Module):
    """p(source class | target class), [C, S]."""

    table: Tensor

    def __init__(self, targets: int, sources: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.full((targets, sources), 1.0 / sources))


def mean_by_class(probabilities: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Mean of probabilities [N, S] over each class [C, S]; uniform where a class has no image."""
    members = functional.one_hot(labels, classes).to(probabilities.dtype)
    count = members.sum(dim=0, keepdim=True).T
    mean = members.T @ probabilities / count.clamp(min=1)
    return torch.where(count > 0, mean, torch.full_like(mean, 1.0 / probabilities.shape[1]))
