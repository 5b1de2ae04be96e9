"""Which domain a feature is of: the adversary that the features learn to deceive."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from studio.core.streams import Batch
from studio.engine.reversal import reverse


class Discriminator(nn.Sequential):
    """Features [B, D] -> one logit [B] each, above 0 for the source."""

    def __init__(self, dim: int, hidden: int = 1024, layers: int = 2) -> None:
        widths = [dim] + [hidden] * layers
        hidden_layers = [
            part for a, b in zip(widths, widths[1:], strict=False) for part in (nn.Linear(a, b), nn.ReLU())
        ]
        super().__init__(*hidden_layers, nn.Linear(widths[-1], 1), nn.Flatten(0))


@dataclass(frozen=True)
class Side:
    """What an adversary sees of one domain: its batch, features [B, D], and how much each image counts [B]."""

    batch: Batch
    features: Tensor
    weights: Tensor | None = None


def adversarial(
    discriminator: nn.Module, source: Side, target: Side, coefficient: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """The domain loss through a reversed gradient, and `domain_accuracy`, 0.5 where the domains look the same.

    Half of -E_s w log d - E_t w log(1 - d), d = sigmoid of the logit. Ganin et al. 2016, eq. 9; weighted as in Long
    et al. 2018, eq. 10. `coefficient` is that of the gradient which reaches the features.
    """
    of_source, of_target = (discriminator(reverse(side.features, coefficient)) for side in (source, target))
    losses = [
        side.batch.mean(_weighted(softplus(signed), side.weights))
        for side, signed in ((source, -of_source), (target, of_target))
    ]
    return sum(losses) / 2, {"domain_accuracy": domain_accuracy(source, target, of_source, of_target)}


def domain_accuracy(source: Side, target: Side, of_source: Tensor, of_target: Tensor) -> Tensor:
    """Mean of the shares of each domain that the discriminator's logits tell right."""
    right = source.batch.mean((of_source > 0).float()) + target.batch.mean((of_target < 0).float())
    return right.detach() / 2


def certainty_weights(probabilities: Tensor) -> Tensor:
    """1 + exp(-H) [B] of predictions [B, C], brought to mean 1; no gradient. Long et al. 2018, section 3.2."""
    weights = 1 + torch.exp(-entropies(probabilities.detach()))
    return weights / weights.mean()


def entropies(probabilities: Tensor) -> Tensor:
    """Entropy [B] of predictions [B, C], in nats."""
    return torch.special.entr(probabilities.clamp_min(1e-12)).sum(dim=1)


def _weighted(losses: Tensor, weights: Tensor | None) -> Tensor:
    return losses if weights is None else losses * weights
