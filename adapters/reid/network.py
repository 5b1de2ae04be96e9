"""The network of an embedding: a backbone, pooling, and a neck between what triplets and what classes see."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from adapters.reid.pooling import POOLINGS
from adapters.reid.side import Sighted
from studio.core.errors import UsageError, one_line


class EmbeddingNetwork(Sighted):
    """images [B, 3, H, W] -> features [B, D] and, behind the neck, embeddings [B, D].

    The neck is a batch normalisation without a shift: triplets see the features, classes the embeddings, which are what
    is compared afterwards. Luo et al. 2019, Bag of Tricks, section 3.5. `aids` holds what only training needs.
    """

    def __init__(self, backbone: Any, pooling: str, size: tuple[int, int], cameras: int = 0) -> None:
        """`pooling` is one of POOLINGS, or own: as the backbone pools. `size`: height and width of the input.

        Raises UsageError where the backbone does not take images of this shape.
        """
        super().__init__(backbone, cameras)
        self.pool = POOLINGS[pooling]() if pooling != "own" else None
        width = backbone.dim if self.pool is None else map_shape(backbone, size)[0]
        if self.pool is None:
            tried(backbone, backbone.embed, size)
        self.dim = width
        self.neck = nn.BatchNorm1d(width)
        self.neck.bias.requires_grad_(False)

    def features(self, images: Tensor, cameras: Tensor | None = None) -> Tensor:
        """Features [B, D] before the neck; `cameras` [B] are indices, -1 where one is not known."""
        with self.told(cameras, images):
            return self.backbone.embed(images) if self.pool is None else self.pool(self.backbone.feature_map(images))

    def forward(self, images: Tensor, cameras: Tensor | None = None) -> tuple[Tensor, Tensor]:
        features = self.features(images, cameras)
        return features, self.neck(features)

    def embed(self, images: Tensor, cameras: Tensor | None = None) -> Tensor:
        """What is compared: unit vectors [B, D]."""
        return normalize(self.neck(self.features(images, cameras)).float(), dim=1)


def map_shape(backbone: Any, size: tuple[int, int]) -> tuple[int, int, int]:
    """Channels, height and width of the backbone's last map for an input of height and width `size`."""
    channels, height, width = tried(backbone, backbone.feature_map, size).shape[1:]
    return channels, height, width


def tried(backbone: Any, call: Any, size: tuple[int, int]) -> Tensor:
    """What `call` gives for one blank image. Raises UsageError where the backbone does not take its shape."""
    training, device = backbone.training, next(backbone.parameters()).device
    backbone.eval()
    try:
        with torch.inference_mode():
            return call(torch.zeros(1, 3, *size, device=device))
    except Exception as error:  # whatever a library raises for such a shape
        raise UsageError(
            f"data.aspect: {backbone.spec} does not take {size[0]} x {size[1]} pixels ({one_line(error, 120)}). "
            "Leave data.aspect at 1, or take a CNN."
        ) from error
    finally:
        backbone.train(training)
