"""No alignment: the source's classifier as it is."""

from adapters.align.base import Aligner, AlignParams
from studio.core.registry import register


@register("align/none")
class NoAlignment(Aligner):
    """Trains on the source and predicts the target: the baseline that every method must beat."""

    title = "Source only"
    paper = "baseline"
    uses = ("data.source", "data.target")
    Params = AlignParams
