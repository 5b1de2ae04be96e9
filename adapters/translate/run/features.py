"""Features of images for KID and the Frechet distance, by a frozen network that is named beside each number."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from adapters.backbones.pyramid_maps import PyramidMaps
from adapters.translate.data.decoded import resized
from adapters.translate.run.lpips_heads import LAYERS, lpips_heads
from studio.core import registry
from studio.core.procedure import Job
from studio.data.transforms import normalize

BATCH = 16
STRIDES = (2, 4, 8, 16)  # of the maps that pairs are compared by


class Features:
    """Sees whole images, squeezed into the square that its network takes."""

    def __init__(self, backbone: Any, device: str) -> None:
        self.backbone = backbone.to(device).eval()
        self.name, self.device = backbone.spec, device
        self.preprocess = replace(backbone.preprocess, squash=True)
        self.heads = lpips_heads(backbone.spec)
        self.pyramid = PyramidMaps(self.backbone, STRIDES) if self.heads is None else None

    @classmethod
    def of(cls, job: Job) -> "Features":
        """The network that eval.features names."""
        return cls(registry.backbone(job.recipe.eval.features, home=job.home), job.device)

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """float32 [N, D] of images uint8 [3, h, w], which may differ in size."""
        return np.concatenate([self.backbone.embed(inputs).float().cpu().numpy() for inputs in self._inputs(images)])

    @property
    def distance(self) -> str:
        """The name of the distance of pairs by `maps`."""
        return "perceptual" if self.heads is None else "lpips"

    @torch.inference_mode()
    def maps(self, images: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """For each image uint8 [3, h, w] the maps [C, h, w] on the network's way, finest first."""
        if self.pyramid is None:
            return [self._maps_of_lpips(image) for image in images]
        rows: list[list[np.ndarray]] = []
        for inputs in self._inputs(images):
            maps = [features.float().cpu().numpy() for features in self.pyramid(inputs)]
            rows += [list(of_image) for of_image in zip(*maps, strict=True)]
        return rows

    def _maps_of_lpips(self, image: np.ndarray) -> list[np.ndarray]:
        """Those that LPIPS weighs, of the image at its own size."""
        features = normalize(torch.from_numpy(image)[None].to(self.device), self.preprocess)
        maps = []
        for place, layer in enumerate(self.backbone.module.features[: LAYERS[-1] + 1]):
            features = layer(features)
            if place in LAYERS:
                maps.append(features[0].float().cpu().numpy())
        return maps

    def _inputs(self, images: Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
        side = self.preprocess.image_size
        for first in range(0, len(images), BATCH):
            squares = [resized(torch.from_numpy(image), (side, side)) for image in images[first : first + BATCH]]
            yield normalize(torch.stack(squares).to(self.device), self.preprocess)
