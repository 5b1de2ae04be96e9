"""Bi-Tuning: supervised contrast on the classifier's side and on the features' side."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapters.finetune.regularizers.base import Forward, Regularizer
from studio.core.phases import Teacher

TEMPERATURE = 0.07
MOMENTUM = 0.999  # of the key network
KEYS = 8  # remembered a class
WIDTH = 128  # of the projection


class BiTuning(Regularizer):
    """Contrastive cross-entropy of class vectors against keys, plus categorical contrast of projections.

    Keys of past batches, `KEYS` a class, come from a slowly following copy of the network (momentum) that
    sees each image mirrored. The classifier's term takes a class weight as query and keys of its class as
    positives; the other takes a projected image as query. Zhong et al. 2020, eq. 3 and 5.
    """

    name = "bi-tuning"
    paper = "Zhong et al. 2020, Bi-tuning of Pre-trained Representations"
    default_strength = 1.0

    def attach(self) -> None:
        classes, width = self.classifier.head.out_features, self.classifier.backbone.dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            project = nn.Linear(width, WIDTH)
        aids = self.classifier.aids
        aids["project"] = project
        aids["slow"] = nn.ModuleList([copy.deepcopy(self.classifier.backbone), copy.deepcopy(project)])
        aids["slow"].requires_grad_(False)
        aids["memory"] = Memory(classes, width)

    def penalty(self, forward: Forward) -> Tensor:
        aids, labels = self.classifier.aids, forward.hard_labels()
        keys, projected = self._keys(forward.images)
        memory: Memory = aids["memory"]
        all_keys, all_projected, owners = memory.with_new(keys, projected, labels)
        memory.add(keys, projected, labels)
        query = functional.normalize(aids["project"](forward.features).float(), dim=1)
        by_class = functional.normalize(self.classifier.head.weight[labels].float(), dim=1)
        return contrast(by_class, all_keys, labels, owners) + contrast(query, all_projected, labels, owners)

    def _keys(self, images: Tensor) -> tuple[Tensor, Tensor]:
        backbone, project = self.classifier.aids["slow"].eval()
        with torch.no_grad():
            features = backbone(images.flip(-1))
            return functional.normalize(features.float(), dim=1), functional.normalize(project(features).float(), dim=1)

    def teachers(self) -> list[Teacher]:
        fast = nn.ModuleList([self.classifier.backbone, self.classifier.aids["project"]])
        return [Teacher(self.classifier.aids["slow"], fast, MOMENTUM, warm=False)]


class Memory(nn.Module):
    """The last `KEYS` keys of each class: a ring a class; `count` says how many were ever added."""

    keys: Tensor
    projected: Tensor
    count: Tensor

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(classes, KEYS, width))
        self.register_buffer("projected", torch.zeros(classes, KEYS, WIDTH))
        self.register_buffer("count", torch.zeros(classes, dtype=torch.int64))

    def with_new(self, keys: Tensor, projected: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All keys [M, D], projections [M, WIDTH] and their classes [M]: the new ones, then those remembered."""
        full = torch.arange(KEYS, device=keys.device) < self.count[:, None]
        owners = torch.arange(len(self.count), device=keys.device)[:, None].expand_as(full)[full]
        return (
            torch.cat([keys, self.keys[full]]),
            torch.cat([projected, self.projected[full]]),
            torch.cat([labels, owners]),
        )

    def add(self, keys: Tensor, projected: Tensor, labels: Tensor) -> None:
        for row, label in enumerate(labels.tolist()):
            place = int(self.count[label]) % KEYS
            self.keys[label, place], self.projected[label, place] = keys[row], projected[row]
            self.count[label] += 1


def contrast(queries: Tensor, keys: Tensor, labels: Tensor, owners: Tensor) -> Tensor:
    """Mean over queries [B, D] of - mean over keys of the same class of log softmax of similarity over all keys."""
    logs = (queries @ keys.T / TEMPERATURE).log_softmax(dim=1)
    same = (labels[:, None] == owners[None, :]).to(logs.dtype)
    return -((logs * same).sum(dim=1) / same.sum(dim=1)).mean()
