"""JAN: the domains' features and predictions are brought together jointly."""

import torch
from torch import Tensor

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.kernels import gaussians, mmd
from studio.core.registry import register
from studio.core.streams import Step

OF_PREDICTIONS = 1.68**2 * 2  # bandwidth of the kernel on predictions: exp(-|p - q|^2 / (2 sigma^2))


@register("align/jan")
class Jan(DeepLearner):
    """Joint MMD^2: the kernel is the product of those on the bottleneck's features and on the predictions.

    Long et al. 2017, eq. 6-9, with all pairs of a batch.
    """

    title = "JAN"
    paper = "Long et al. 2017, Deep Transfer Learning with Joint Adaptation Networks"
    Params = AligningParams

    def align(self, source: View, target: View, at: Step) -> Losses:
        kernel = joint_kernel(
            torch.cat([source.features, target.features]), torch.cat([source.probabilities, target.probabilities])
        )
        return {"joint_mmd": self.strength(at) * mmd(kernel, len(source.features))}


def joint_kernel(features: Tensor, predictions: Tensor) -> Tensor:
    """Of features [N, D] and predictions [N, C], [N, N]."""
    return gaussians(features) * gaussians(predictions, factors=(1.0,), bandwidth=OF_PREDICTIONS)
