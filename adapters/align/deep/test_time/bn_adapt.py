"""BN adaptation: the target's batch statistics take the place of the source's."""

from pydantic import Field

from adapters.align.deep.test_time.base import Online, OnlineParams
from studio.core.registry import register


class BnAdaptParams(OnlineParams):
    prior: float = Field(
        16.0, ge=0, le=1e6, description="images that the source's batch-norm statistics count as beside a batch's own"
    )


@register("align/bn-adapt")
class BnAdapt(Online):
    """Batch statistics mixed with the source's; no weight moves, and a batch says nothing to the next.

    Schneider et al. 2020, section 3, eq. 3-4; `prior` is its N.
    """

    title = "BN adaptation"
    paper = "Schneider et al. 2020, Improving robustness against common corruptions by covariate shift adaptation"
    Params = BnAdaptParams
