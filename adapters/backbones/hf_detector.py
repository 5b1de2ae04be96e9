"""Detectors of transformers, pretrained as a whole: what a detector here can start from."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapters.backbones import hf_model
from adapters.backbones.hf_whole import HFWhole, read_whole
from studio.data.preprocess import Preprocess


class HFDetector(HFWhole):
    """A whole detector; as a backbone it gives the map that its own backbone makes of an image."""

    def _features(self, images: Tensor) -> Tensor:
        if self.module.config.model_type == "yolos":
            return _patches(self.module, images)
        mask = torch.ones(len(images), *images.shape[-2:], device=images.device)
        found = self._trunk()(images, mask)
        return found[-1][0] if isinstance(found, list) else found[0]

    def _trunk(self) -> nn.Module:
        return self.module.vit if hasattr(self.module, "vit") else self.module.model.backbone


def build_detector(
    architecture: dict[str, Any], preprocess: Preprocess, size: int | None, weights: Path | None, spec: str, seed: int
) -> HFDetector:
    """As `read_whole` reads it."""
    module = read_whole(architecture["config"], weights, spec, seed)
    return HFDetector(module, preprocess.with_size(size or preprocess.image_size), architecture)


def _patches(module: nn.Module, images: Tensor) -> Tensor:
    """Patch tokens [B, D, h, w] of YOLOS, without the class token before and the queries behind them."""
    config, patch = module.config, hf_model.patch_size(module.config)
    tokens = module.vit(images).last_hidden_state[:, 1 : -config.num_detection_tokens]
    return tokens.transpose(1, 2).unflatten(2, (images.shape[-2] // patch, images.shape[-1] // patch))
