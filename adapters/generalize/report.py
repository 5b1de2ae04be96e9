"""What a run of generalization shows: each domain by itself, and the unseen one beside the sources."""

from typing import Any

import numpy as np

from adapters.finetune.run.insight import MAPPED, features_now
from adapters.generalize.base import Generalizer
from adapters.generalize.training import Decodings
from studio.core.procedure import Job
from studio.data import Dataset
from studio.data.domains import domain_ids
from studio.data.preprocess import Preprocess
from studio.engine.decoded import Decoded
from studio.figures import tsne_figure
from studio.metrics import classification_report

UNSEEN = "unseen"


def domain_table(job: Job, scored: dict[str, tuple[np.ndarray, Dataset]]) -> dict[str, float]:
    """A row a domain, from probabilities [N, C] on the images of each role ("source", UNSEEN); accuracy by domain."""
    rows, accuracies = [], {}
    for role, (probabilities, dataset) in scored.items():
        domains, names = domain_ids(dataset.items)
        for place, name in enumerate(names):
            chosen = domains == place
            values = classification_report(probabilities[chosen], dataset.labels[chosen])
            shown = name or dataset.spec
            accuracies[shown] = values["accuracy"]
            numbers = (values["accuracy"], values["accuracy_ci95"], values["macro_f1"])
            rows.append([shown, role, values["images"], *(round(float(number), 4) for number in numbers)])
    job.table("domains", ["domain", "role", "images", "accuracy", "±95%", "macro F1"], rows)
    return accuracies


class DomainMap:
    """t-SNE of some images of every domain, coloured by domain, before and after the training."""

    def __init__(self, job: Job, decodings: Decodings, preprocess: Preprocess) -> None:
        self.job, self.preprocess = job, preprocess
        parts = [*_by_source(decodings.val), *([decodings.unseen] if decodings.unseen is not None else [])]
        each = MAPPED // len(parts)
        self.parts = [_some(part, each) for part in parts]
        self.names = [part.dataset.items[0].domain or UNSEEN for part in parts]
        if decodings.unseen is not None:
            self.names[-1] = f"{self.names[-1]} ({UNSEEN})" if self.names[-1] != UNSEEN else UNSEEN
        self.panels: dict[str, np.ndarray] = {}

    def add(self, learner: Generalizer, name: str) -> None:
        """The features as the network has them now, as a panel of this name."""
        found = [features_now(self.job, learner, part, self.preprocess) for part in self.parts]
        self.panels[name] = np.concatenate(found)

    def draw(self) -> None:
        labels = np.repeat(np.arange(len(self.parts)), [len(part.dataset) for part in self.parts])
        self.job.figure("domains", tsne_figure(self.panels, labels, self.names))


def words_of(decodings: Decodings) -> str:
    """What the result is scored on."""
    if decodings.unseen is None:
        return "held-out images of the sources"
    return f"{len(decodings.unseen.dataset)} images of the unseen domain"


def worst_source(accuracies: dict[str, float], sources: list[str]) -> dict[str, Any]:
    """The source of the lowest accuracy, and that."""
    worst = min(sources, key=lambda name: accuracies[name])
    return {"worst_source": worst, "worst_source_accuracy": accuracies[worst]}


def _by_source(split: Decoded) -> list[Decoded]:
    domains, names = domain_ids(split.dataset.items)
    return [split.part(np.flatnonzero(domains == place)) for place in range(len(names))]


def _some(split: Decoded, most: int) -> Decoded:
    """At most so many images, taken evenly."""
    count = len(split.dataset)
    return split.part(np.unique(np.linspace(0, count - 1, min(most, count)).astype(int)))
