"""TENT: each batch is made surer of, by the scales and shifts of the normalisations alone."""

from torch import Tensor

from adapters.align.deep.discriminator import entropies
from adapters.align.deep.test_time.base import Online
from studio.core.registry import register


@register("align/tent")
class Tent(Online):
    """Minimises the mean entropy of a batch's predictions, with the batch's own statistics. Wang et al. 2021, eq. 1.

    Long streams can end in wrong classes of which it is sure. `reset` goes back to the source then, as the recovery of
    Niu et al. 2023, section 4, does; it looks at the answers that the source's weights would give with the same
    statistics instead of at the entropy, which is low where all is well, too.
    """

    title = "TENT"
    paper = "Wang et al. 2021, Tent: Fully Test-Time Adaptation by Entropy Minimization"
    formula = (
        r"\min_{\gamma, \beta} \; -\sum_k p_k(x) \log p_k(x) "
        r"\quad \text{over scales and shifts of the norms alone}"
    )

    def objective(self, features: Tensor, logits: Tensor) -> dict[str, Tensor]:
        return {"entropy": entropies(logits.softmax(dim=1)).mean()}
