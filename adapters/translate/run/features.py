"""Features of images for KID and the Frechet distance, by a frozen network that is named beside each number."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from adapters.translate.data.decoded import resized
from studio.core import registry
from studio.core.procedure import Job
from studio.data.transforms import normalize

BATCH = 16


class Features:
    """Sees whole images, squeezed into the square that its network takes."""

    def __init__(self, backbone: Any, device: str) -> None:
        self.backbone = backbone.to(device).eval()
        self.name, self.device = backbone.spec, device
        self.preprocess = replace(backbone.preprocess, squash=True)

    @classmethod
    def of(cls, job: Job) -> "Features":
        """The network that eval.features names."""
        return cls(registry.backbone(job.recipe.eval.features, home=job.home), job.device)

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """float32 [N, D] of images uint8 [3, h, w], which may differ in size."""
        side, rows = self.preprocess.image_size, []
        for first in range(0, len(images), BATCH):
            squares = [resized(torch.from_numpy(image), (side, side)) for image in images[first : first + BATCH]]
            inputs = normalize(torch.stack(squares).to(self.device), self.preprocess)
            rows.append(self.backbone.embed(inputs).float().cpu().numpy())
        return np.concatenate(rows)
