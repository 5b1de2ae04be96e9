"""How good a translator is on held-out images: as a set beside the wanted look, and beside pairs if there are some."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from adapters.translate.base import Translator
from adapters.translate.data.decoded import Looks
from adapters.translate.run.features import Features
from adapters.translate.run.views import View, translated
from studio.metrics.translation import diversity, frechet_distance, kid, perceptual_distance, psnr, ssim

BATCH = 8  # images of one size that are translated together


@dataclass
class Scores:
    """What is said of translated images. `psnr`, `ssim`, `perceptual` float64 [N], empty where there are no pairs."""

    kid: float
    kid_ci95: float
    distance: float
    diversity: float  # of the images, as a share of that of the wanted look
    psnr: np.ndarray
    ssim: np.ndarray
    perceptual: np.ndarray
    perceptual_name: str = "perceptual"  # or lpips, where it is that

    def to_dict(self) -> dict[str, float]:
        """One number of each, for curves."""
        values = {"kid": self.kid, "distance": self.distance, "diversity": self.diversity}
        pairs = {"psnr": self.psnr, "ssim": self.ssim, self.perceptual_name: self.perceptual}
        return values | {name: float(of_pairs.mean()) for name, of_pairs in pairs.items() if len(of_pairs)}


@dataclass
class Judge:
    """Scores sets of images made of `held`, beside images of the wanted look; what never changes is computed once."""

    held: Looks
    wanted: Sequence[np.ndarray]
    features: Features

    @cached_property
    def of_wanted(self) -> np.ndarray:
        """Features float32 [M, D] of the wanted look."""
        return self.features(self.wanted)

    @cached_property
    def of_pairs(self) -> list[list[np.ndarray]]:
        """The maps of the other side of each pair."""
        return self.features.maps(self.held.pairs)

    def __call__(self, outputs: Sequence[np.ndarray]) -> Scores:
        """Scores of images uint8 [3, h, w], one for each of `held`."""
        features = self.features(outputs)
        value, interval = kid(features, self.of_wanted)
        spread = diversity(features) / max(diversity(self.of_wanted), 1e-12)
        pairs = list(zip(outputs, self.held.pairs, strict=True)) if self.held.pairs else []
        maps = zip(self.features.maps(outputs), self.of_pairs, strict=True) if pairs else []
        return Scores(
            value, interval, frechet_distance(features, self.of_wanted), spread,
            np.array([psnr(*pair) for pair in pairs]), np.array([ssim(*pair) for pair in pairs]),
            np.array([perceptual_distance(*pair, self.features.heads) for pair in maps]), self.features.distance,
        )  # fmt: skip


def translate_all(learner: Translator, looks: Looks, view: View, device: str) -> list[np.ndarray]:
    """Every image of a decoded split in the other look, uint8 [3, h, w], in order."""
    learner.train_mode(False)
    outputs: dict[int, np.ndarray] = {}
    for rows in _alike(looks):
        images = torch.from_numpy(np.stack([looks.images[row] for row in rows])).to(device)
        with torch.inference_mode():
            outputs |= dict(zip(rows, translated(learner, images, view).cpu().numpy(), strict=True))
    return [outputs[row] for row in range(len(looks))]


def _alike(looks: Looks) -> Iterator[list[int]]:
    """Rows of images of one size, a few at a time."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for row, image in enumerate(looks.images):
        by_size.setdefault(image.shape, []).append(row)
    for rows in by_size.values():
        for first in range(0, len(rows), BATCH):
            yield rows[first : first + BATCH]
