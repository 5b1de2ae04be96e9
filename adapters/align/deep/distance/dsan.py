"""DSAN: each class of the source is brought together with the same class of the target."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.kernels import gaussians, weighted_mmd
from studio.core.registry import register
from studio.core.streams import Step


@register("align/dsan")
class Dsan(DeepLearner):
    """Local MMD: the mean over classes of MMD^2, images weighted by how much they are of the class.

    Labels say it of the source, predictions of the target. Zhu et al. 2021, eq. 4-8.
    """

    title = "DSAN"
    paper = "Zhu et al. 2021, Deep Subdomain Adaptation Network for Image Classification"
    Params = AligningParams

    def align(self, source: View, target: View, at: Step) -> Losses:
        kernel = gaussians(torch.cat([source.features, target.features]))
        labels = one_hot(source.batch.labels, source.logits.shape[1]).to(kernel)
        return {"local_mmd": self.strength(at) * local_mmd(kernel, labels, target.probabilities.detach())}


def local_mmd(kernel: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Mean over the classes that both have of MMD^2, from a kernel [N + M, N + M] and shares [N, C], [M, C]."""
    shared = (source.sum(dim=0) > 0) & (target.sum(dim=0) > 0)
    weights = [side[:, shared] / side[:, shared].sum(dim=0, keepdim=True) for side in (source, target)]
    if not shared.any():
        return kernel.sum() * 0
    return weighted_mmd(kernel, *weights).sum() / source.shape[1]
