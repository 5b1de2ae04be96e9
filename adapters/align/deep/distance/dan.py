"""DAN: the domains' features are brought together in the space of several kernels."""

import torch

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.kernels import gaussians, mmd
from studio.core.registry import register
from studio.core.streams import Step


@register("align/dan")
class Dan(DeepLearner):
    """Multi-kernel MMD^2 of the layers that belong to the task, here the bottleneck and the logits, summed.

    Long et al. 2015, eq. 2-4, with equal weights of the kernels and all pairs of a batch, where the paper has the
    estimate that is linear in time.
    """

    title = "DAN"
    paper = "Long et al. 2015, Learning Transferable Features with Deep Adaptation Networks"
    formula = (
        r"\mathrm{MMD}_k^2 = \Big\lVert \mathbb{E}_s[\phi(f(x))] - \mathbb{E}_t[\phi(f(x))] "
        r"\Big\rVert_{\mathcal{H}_k}^2, \qquad k = \sum_u \beta_u k_u"
    )
    Params = AligningParams

    def align(self, source: View, target: View, at: Step) -> Losses:
        layers = {"features": (source.features, target.features), "logits": (source.logits, target.logits)}
        return {
            f"mmd_{name}": self.strength(at) * mmd(gaussians(torch.cat(pair)), len(pair[0]))
            for name, pair in layers.items()
        }
