"""Mutual mean-teaching: two networks, each taught softly by the slow average of the other."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from adapters.finetune.classifier import whole_state
from adapters.finetune.full import decay_groups
from adapters.reid.base import classifier
from adapters.reid.clusterer import Clusterer, ClusterParams
from adapters.reid.clustering import Clusters, centroids
from adapters.reid.mutual import soft_cross_entropy, softmax_triplet
from studio.core.phases import Teacher
from studio.core.registry import register
from studio.core.streams import Batch, Step
from studio.device.norms import freeze_statistics

NETWORKS = ("first", "second", "first_mean", "second_mean")
PAIRS = (("first", "second"), ("second", "first"))  # who learns, and whose average teaches it


class MmtParams(ClusterParams):
    soft_identity: float = Field(
        0.5, ge=0, le=1, description="share of the teacher's say of who it is, not the cluster's"
    )
    soft_triplet: float = Field(0.8, ge=0, le=1, description="share of the teacher's say of what is nearer")
    decay: float = Field(0.999, ge=0, lt=1, description="how slowly the averages follow their networks")


@register("reid/mmt")
class Mmt(Clusterer):
    """Clusters give hard labels and triplets; the average of the other network, on its own view of the same images,
    gives soft ones. What is kept and compared is the first average; clusters are of what both averages say.

    Ge et al. 2020, section 3.2, with clusters by DBSCAN in the place of k-means, so that their number need not be
    known; classifiers begin at the clusters' means whenever these are found anew. The two networks start from two
    trainings on the source where there is one; else they differ by what they see.
    """

    title = "Mutual mean-teaching"
    paper = (
        "Ge et al. 2020, Mutual Mean-Teaching: Pseudo Label Refinery for Unsupervised Domain Adaptation on Person Re-ID"
    )
    Params = MmtParams
    twice = True
    starts = 2

    def remember(self, images: int) -> None:
        twins = {name: copy.deepcopy(self.module) for name in ("second", "first_mean", "second_mean")}
        super().remember(images)
        self.module.aids.update(twins)
        for name in NETWORKS:
            layer = classifier(self.module.dim, images // self.params.least + 1).to(self._device)
            self.module.aids[f"{name}_classifier"] = layer
            if name.endswith("mean"):
                layer.requires_grad_(False)
                twins[name].requires_grad_(False)

    def start_from_several(self, states: Sequence[dict[str, Tensor]]) -> None:
        for name in ("second", "second_mean"):
            self.module.aids[name].load_state_dict(states[-1], strict=False)

    def remembered(self, images: int) -> dict[str, Tensor]:
        return {"count": torch.zeros(1, dtype=torch.int64)}

    def follow(self, features: Tensor, clusters: Clusters) -> None:
        super().follow(features, clusters)
        labels = self.memory.labels
        self.memory.keep(count=torch.tensor([clusters.count]))
        means = normalize(centroids(features.to(labels.device), labels, clusters.count), dim=1)
        for name in NETWORKS:
            with torch.no_grad():
                self.module.aids[f"{name}_classifier"].weight[: clusters.count] = means

    def losses(self, batch: Batch, at: Step) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        labels, params = self.memory.labels[batch.index], self.params
        views = {"first": batch.images, "second": batch.again}
        with torch.no_grad():
            taught = {name: self._seen(f"{name}_mean", images, batch) for name, images in views.items()}
        losses, right = {}, []
        for name, other in PAIRS:
            features, logits = self._seen(name, views[name], batch)
            mean_features, mean_logits = taught[other]
            identity = cross_entropy(logits, labels), soft_cross_entropy(logits, mean_logits).mean()
            triplet = softmax_triplet(features, labels).mean(), softmax_triplet(features, labels, mean_features).mean()
            losses[f"{name}_identity"] = _mixed(*identity, params.soft_identity)
            losses[f"{name}_triplet"] = _mixed(*triplet, params.soft_triplet)
            right.append((mean_logits.argmax(dim=1) == labels).float().mean())
        return losses, {"averages_agree": torch.stack(right).mean()}

    def teachers(self) -> list[Teacher]:
        aids, decay = self.module.aids, self.params.decay
        pairs = [(aids[f"{name}_mean_classifier"], aids[f"{name}_classifier"]) for name in ("first", "second")]
        for name, network in (("first", self.module), ("second", aids["second"])):
            mean = dict(aids[f"{name}_mean"].named_children())
            pairs += [(mean[part], child) for part, child in network.named_children() if part != "aids"]
        return [Teacher(mean, follows, decay) for mean, follows in pairs]

    def train_mode(self, training: bool) -> None:
        super().train_mode(training)
        if training and self.params.freeze_statistics and "second" in self.module.aids:
            freeze_statistics(self.module.aids["second"].backbone)

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        aids = self.module.aids
        networks, groups = (self.module, aids["second"]), []
        for network in networks:
            groups += decay_groups([network.backbone], lr * self.params.backbone_lr, weight_decay)
        own = [child for each in networks for name, child in each.named_children() if name not in ("backbone", "aids")]
        own += [aids["first_classifier"], aids["second_classifier"]]
        return groups + decay_groups(own, lr, weight_decay)

    def embed(self, images: Tensor, cameras: Tensor | None = None) -> Tensor:
        mean = self._mean()
        return super().embed(images, cameras) if mean is None else mean.embed(images, cameras)

    def describe(self, images: Tensor, cameras: Tensor | None = None) -> Tensor:
        aids = self.module.aids
        return normalize(sum(aids[f"{name}_mean"].embed(images) for name in ("first", "second")), dim=1)

    def state(self) -> dict[str, Tensor]:
        mean = self._mean()
        return whole_state(self.module if mean is None else mean)

    def load_state(self, state: dict[str, Tensor]) -> None:
        super().load_state(state)
        if (mean := self._mean()) is not None:
            mean.load_state_dict(state, strict=False)

    def _mean(self) -> nn.Module | None:
        return dict(self.module.aids.items()).get("first_mean")

    def _seen(self, name: str, images: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features [B, D] before the neck and logits [B, K] of a network."""
        network = self.module if name == "first" else self.module.aids[name]
        features, embeddings = self.through(network, images, batch)
        logits = self.module.aids[f"{name}_classifier"](embeddings)
        return features, logits[:, : int(self.memory.count)]


def _mixed(hard: Tensor, soft: Tensor, share: float) -> Tensor:
    return (1 - share) * hard + share * soft
