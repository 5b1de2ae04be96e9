"""DANN between sources: features that do not tell from which source an image is."""

from typing import Any

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import cross_entropy

from adapters.generalize.base import GeneralizeParams, Generalizer, mean_risk, single
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches
from studio.engine.reversal import reverse


class DannParams(GeneralizeParams):
    strength: float = Field(1.0, ge=0, le=100, description="weight of the reversed gradient at the end of its ramp")
    hidden: int = Field(256, ge=8, le=8192, description="width of the two hidden layers of the discriminator")


@register("generalize/dann")
class Dann(Generalizer):
    """A discriminator names the source of each feature; the network gets its gradient reversed.

    Ganin et al. 2016, eq. 9-14 and the ramp of section 5.2.2, with as many classes as there are sources.
    """

    title = "DANN"
    paper = "Ganin et al. 2016, Domain-Adversarial Training of Neural Networks"
    Params = DannParams

    def build(self, sources: int) -> None:
        width = self.params.hidden
        self.module.aids["discriminator"] = nn.Sequential(
            nn.Linear(self.module.head.in_features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, sources),
        )  # fmt: skip

    def losses(self, batch: StreamBatches, at: Step) -> Any:
        seen = self.see(batch.sources)
        adversarial, right = [], []
        for place, source in enumerate(seen):
            reversed_features = reverse(source.features, self.params.strength * at.ramp(10.0))
            logits = single(self.module.aids["discriminator"](reversed_features))
            truth = torch.full((len(logits),), place, device=logits.device)
            adversarial.append(source.batch.mean(cross_entropy(logits, truth, reduction="none")))
            right.append(source.batch.mean((logits.argmax(dim=1) == truth).float()))
        losses = {"classify": mean_risk(seen), "domain": torch.stack(adversarial).mean()}
        return losses, {"discriminator_accuracy": torch.stack(right).mean()}
