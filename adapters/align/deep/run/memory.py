"""What a deep alignment asks of a device: counted on the network's shapes, before anything is loaded."""

from functools import lru_cache

import torch

from adapters.align.deep.base import DeepLearner
from adapters.backbones.weightless import saved_bytes
from studio.core import registry
from studio.core.errors import StudioError
from studio.core.home import Home
from studio.core.recipe import Recipe

FLOAT = 4  # bytes; half precision needs less, and is not counted on
BESIDE = 0.8  # GB: the runtime's own, the method's losses and what is looked at
WASTE = 1.15  # of what is kept for the backward pass: workspaces, and pieces too small to be used
UNKNOWN = 2.0  # GB, of a backbone that is not to be had
COUNTED = 2  # images that are led through the shapes


def training_gb(recipe: Recipe, cls: type[DeepLearner], home: Home) -> float:
    """Device memory in GB: weights, gradients, optimizer, and what the images of a step keep for the backward pass.

    Of a folder or a model of the hub its config alone is read. Where a checkpoint is gone on from, its backbone counts.
    """
    settings = recipe.train
    start = recipe.model.checkpoint
    try:
        weights, image = _sizes(f"store/{start}" if start else recipe.model.backbone, recipe.model.image_size, home)
    except StudioError:  # the run will say why there is no such backbone
        return UNKNOWN
    images = settings.batch_size * (len(cls.streams) + cls.strong)
    images = min(images, settings.micro_batch * len(cls.streams)) if settings.micro_batch else images
    copies = 2 + (2 if settings.optimizer == "adamw" else 1)
    copies += len(cls.streams) > 1 and recipe.eval.source_only  # the network beside
    return BESIDE + (weights * copies + WASTE * image * images) / 2**30


def in_words(gb: float) -> str:
    """What is said of an estimate."""
    return f"By estimate this takes {gb:.1f} GB of the device; a smaller train.micro_batch needs less."


@lru_cache(maxsize=16)
def _sizes(spec: str, image_size: int | None, home: Home) -> tuple[int, float]:
    """Bytes of a backbone's weights, and those that one image keeps for the backward pass."""
    backbone = registry.backbone(spec, home=home, image_size=image_size, weights=False).train()
    side = backbone.image_size
    images = torch.empty(COUNTED, 3, side, side, device="meta")
    weights = FLOAT * sum(parameter.numel() for parameter in backbone.parameters())
    return weights, saved_bytes(backbone, images) / COUNTED
