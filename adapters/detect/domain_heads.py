"""Which domain a feature comes from: small networks that guess it, through a reversed gradient."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from studio.engine.reversal import reverse

SOURCE, TARGET = 0.0, 1.0


class DomainHeads(nn.Module):
    """Guesses the domain at every place of every map, and of every region. Chen et al. 2018, section 4."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, 1, 1))
        self.region = nn.Sequential(nn.Linear(hidden, 256), nn.ReLU(), nn.Linear(256, 1))

    def losses(self, maps: list[Tensor], regions: Tensor, image_of: Tensor, domain: float) -> dict[str, Tensor]:
        """Named losses of one domain's batch.

        maps [B, C, h, w] of each level; regions [R, D] and the row `image_of` [R] of the batch each is of.
        """
        places = [self.image(reverse(level)) for level in maps]
        guesses = self.region(reverse(regions)).squeeze(1)
        of_places = torch.stack([_wrong(place, domain) for place in places]).mean()
        return {
            "domain_image": of_places,
            "domain_region": _wrong(guesses, domain) if len(guesses) else of_places * 0,
            "domain_consistency": self._differ(maps, regions, image_of) if len(guesses) else of_places * 0,
        }

    def _differ(self, maps: list[Tensor], regions: Tensor, image_of: Tensor) -> Tensor:
        """How far both guesses differ, which the features too learn to make less: here no gradient is reversed."""
        return consistency([self.image(level) for level in maps], self.region(regions).squeeze(1), image_of)


def consistency(places: list[Tensor], guesses: Tensor, image_of: Tensor) -> Tensor:
    """Squared distance between what an image's places say on the mean and what each of its regions says (eq. 7)."""
    means = torch.stack([place.sigmoid().mean(dim=(1, 2, 3)) for place in places])  # [L, B]
    return (means[:, image_of] - guesses.sigmoid()).pow(2).mean()


def _wrong(logits: Tensor, domain: float) -> Tensor:
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, domain))
