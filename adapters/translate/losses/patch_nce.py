"""Patch contrast: a place of the made image knows the same place of its source among other places of it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

WIDTH = 256  # of what maps are projected to


class Projection(nn.Module):
    """From sampled places of a generator's maps to unit vectors: two layers a map. Park et al. 2020, section 3."""

    def __init__(self, channels: Sequence[int], width: int = WIDTH) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(inside, width), nn.ReLU(), nn.Linear(width, width)) for inside in channels
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0.0, 0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Of maps [B, C, h, w] at `places` [P] of each (rows times columns): unit vectors [B, P, width]."""
        return [
            normalize(head(features.flatten(2).transpose(1, 2)[:, chosen]), dim=-1)
            for head, features, chosen in zip(self.heads, maps, places, strict=True)
        ]


def sampled_places(maps: Sequence[Tensor], count: int) -> list[Tensor]:
    """For each of maps [B, C, h, w] up to `count` different places, int64 [P]; drawn on the CPU."""
    return [torch.randperm(features.shape[2] * features.shape[3])[:count].to(features.device) for features in maps]


def patch_nce(made: Tensor, source: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each place of `made` knowing its own in `source`, both [B, P, D] unit vectors -> [B, P].

    Park et al. 2020, equation 4: the other places of the same image are the negatives; `source` gets no gradient.
    """
    logits = made @ source.detach().transpose(1, 2) / temperature  # [B, P, P]
    own = torch.arange(made.shape[1], device=made.device).expand(len(made), -1)
    return cross_entropy(logits.flatten(0, 1), own.flatten(), reduction="none").unflatten(0, (len(made), -1))
