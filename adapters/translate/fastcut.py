"""FastCUT: CUT without its identity loss, held to its source more firmly: half the memory, quicker."""

from pydantic import Field

from adapters.translate.cut import Cut, CutParams
from studio.core.registry import register


class FastCutParams(CutParams):
    nce: float = Field(10.0, ge=0, le=100, description="weight of the contrast of places between source and made image")
    identity: float = Field(
        0.0, ge=0, le=100, description="weight of the same where the look is the wanted one already"
    )
    flip: bool = Field(
        True, description="half of the time mirror what the generator sees, not what it is compared with"
    )


@register("translate/fastcut")
class FastCut(Cut):
    """CUT with lambda_X 10, lambda_Y 0, and equivariance under mirroring.

    Park et al. 2020, section 4.1 and appendix C.
    """

    title = "FastCUT"
    paper = "Park et al. 2020, Contrastive Learning for Unpaired Image-to-Image Translation"
    Params = FastCutParams
