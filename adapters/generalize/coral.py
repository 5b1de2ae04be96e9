"""CORAL between sources: features of one mean and one covariance."""

from typing import Any

from pydantic import Field
from torch import Tensor

from adapters.align.deep.covariance import covariance
from adapters.generalize.base import GeneralizeParams, Generalizer, mean_risk
from adapters.generalize.pairs import mean_over_pairs
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches


class CoralParams(GeneralizeParams):
    strength: float = Field(1.0, ge=0, le=1e4, description="weight of the distance between the sources' features")


@register("generalize/coral")
class Coral(Generalizer):
    """Risk plus the distance of the sources' second-order statistics, over every pair of them.

    Sun and Saenko 2016, eq. 1-3: the squared distance of covariances; the means are drawn together as well, as
    Gulrajani and Lopez-Paz 2021 have it, who divide by D and D squared.
    """

    title = "CORAL"
    paper = "Sun and Saenko 2016, Deep CORAL: Correlation Alignment for Deep Domain Adaptation"
    Params = CoralParams

    def losses(self, batch: StreamBatches, at: Step) -> Any:
        seen = self.see(batch.sources)
        distance = mean_over_pairs([source.features for source in seen], coral_distance)
        return {"classify": mean_risk(seen), "coral": self.params.strength * distance}


def coral_distance(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared difference of the means [D] and of the covariances [D, D] of features [N, D] and [M, D]."""
    means = (first.mean(dim=0) - second.mean(dim=0)).square().mean()
    return means + (covariance(first) - covariance(second)).square().mean()
