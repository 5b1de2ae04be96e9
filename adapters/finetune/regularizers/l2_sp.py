"""L2-SP: weights are drawn to where they started instead of to zero."""

import torch
from torch import Tensor

from adapters.finetune.regularizers.base import Forward, Regularizer

HEAD = 0.01  # beta / alpha scale of the new head, which has no starting point worth keeping


class L2Sp(Regularizer):
    """alpha / 2 |w - w0|^2 over the backbone's trained weights, and HEAD / 2 |v|^2 over the head, alpha = strength.

    Li, Grandvalet and Davoine 2018, eq. 1 of section 3.2. The head's term is divided by alpha, so that
    its weight does not depend on it.
    """

    name = "l2-sp"
    paper = "Li et al. 2018, Explicit Inductive Bias for Transfer Learning with Convolutional Networks"
    default_strength = 0.01

    def attach(self) -> None:
        self.start = [parameter.detach().clone() for parameter in self._trained()]

    def penalty(self, forward: Forward) -> Tensor:
        trained = self._trained()
        if trained and self.start[0].device != trained[0].device:
            self.start = [tensor.to(trained[0].device) for tensor in self.start]
        drift = sum((now - start).square().sum() for now, start in zip(trained, self.start, strict=True))
        head = sum(parameter.square().sum() for parameter in self.classifier.head.parameters())
        return 0.5 * (drift + head * (HEAD / self.strength if self.strength else 0.0))

    def _trained(self) -> list[torch.nn.Parameter]:
        return [parameter for parameter in self.classifier.backbone.parameters() if parameter.requires_grad]
