"""StochNorm: each channel is normalised by the batch or by the running statistics, at random."""

import torch
from torch import Tensor, nn

from adapters.finetune.regularizers.base import Forward, Regularizer
from studio.core.errors import UsageError


class StochNorm(Regularizer):
    """Batch normalisation with two branches; in training a channel takes the running one with probability `strength`.

    Kou et al. 2020, eq. 4-5. A channel's branch is all or nothing, so choosing between the outputs of the
    two branches is the same as choosing between their normalised inputs. No term is added to the loss.
    """

    name = "stoch-norm"
    paper = "Kou et al. 2020, Stochastic Normalization"
    default_strength = 0.5
    moves_statistics = True

    def attach(self) -> None:
        norms = [part for part in self.classifier.backbone.modules() if isinstance(part, nn.BatchNorm2d)]
        if not norms:
            raise UsageError(
                f"params.regularizer: {self.name} needs batch normalisation, which "
                f"{self.classifier.backbone.spec} does not have. l2-sp, delta and bss fit any backbone."
            )
        if not 0 <= self.strength <= 1:
            raise UsageError(f"params.strength: {self.name} takes a probability, 0 to 1; found {self.strength:g}.")
        for norm in norms:
            make_stochastic(norm, self.strength)

    def penalty(self, forward: Forward) -> Tensor:
        return forward.features.new_zeros(())


def make_stochastic(norm: nn.BatchNorm2d, probability: float) -> None:
    """Gives `norm` the two branches, its weights and its other behaviour (a fused activation) untouched."""
    single = norm.forward

    def forward(features: Tensor) -> Tensor:
        if not norm.training:
            return single(features)
        norm.training = False
        running = single(features)
        norm.training = True
        by_batch = single(features)
        chosen = torch.rand(features.shape[1], device=features.device) < probability
        return torch.where(chosen[:, None, None], running, by_batch)

    norm.forward = forward
