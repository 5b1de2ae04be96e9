"""M3SDA: several sources and the target are brought together by the moments of their features."""

from itertools import combinations

from pydantic import Field
from torch import Tensor

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from studio.core.registry import register
from studio.core.streams import Step


class M3sdaParams(AligningParams):
    weight: float = Field(0.0025, ge=0, le=1000, description="weight of the moment distance beside the classification")
    moments: int = Field(2, ge=1, le=5, description="how many moments are compared")


@register("align/m3sda")
class M3sda(DeepLearner):
    """Moment distance: mean |E x_i^k - E x_t^k| over the sources, and between each two of them, summed over moments k.

    Peng et al. 2019, eq. 1-2, with one head for all sources. data.source joins several by commas; with one source it is
    the distance to the target alone. The distances are norms: mostly chance in small batches, and with a gradient that
    does not fade. So the authors' code gives each pair of five domains 0.0005, and the default here is as much.
    """

    title = "M3SDA"
    paper = "Peng et al. 2019, Moment Matching for Multi-Source Domain Adaptation"
    Params = M3sdaParams

    def align(self, source: View, target: View, at: Step) -> Losses:
        return {"moments": self.strength(at) * moment_distance(parts(source), target.features, self.params.moments)}


def parts(source: View) -> list[Tensor]:
    """The features of each source in the batch."""
    if "domains" not in source.batch:
        return [source.features]
    domains = source.batch.domains
    return [source.features[domains == number] for number in domains.unique()]


def moment_distance(sources: list[Tensor], target: Tensor, moments: int) -> Tensor:
    """Of features [N_i, D] of each source and [M, D] of the target; distances are root sums of squares."""
    total = target.new_zeros(())
    for power in range(1, moments + 1):
        means = [source.pow(power).mean(dim=0) for source in sources]
        total = total + sum((mean - target.pow(power).mean(dim=0)).norm() for mean in means) / len(means)
        pairs = list(combinations(means, 2))
        if pairs:
            total = total + sum((one - other).norm() for one, other in pairs) / len(pairs)
    return total
