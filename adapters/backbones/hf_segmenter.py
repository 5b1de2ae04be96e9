"""Segmenters of transformers, pretrained as a whole: what a network for masks here can start from."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adapters.backbones import hf_model
from adapters.backbones.hf_whole import HFWhole, read_whole
from studio.data.preprocess import Preprocess


class HFEomt(HFWhole):
    """A whole EoMT; as a backbone it gives the patches that its blocks make of an image without any query."""

    def _features(self, images: Tensor) -> Tensor:
        model, patch = self.module, hf_model.patch_size(self.module.config)
        tokens = model.embeddings(images)
        for layer in model.layers:
            tokens = layer(tokens)
        patches = model.layernorm(tokens)[:, model.embeddings.num_prefix_tokens :]
        return patches.transpose(1, 2).unflatten(2, (images.shape[-2] // patch, images.shape[-1] // patch))


class HFMask2Former(HFWhole):
    """A whole Mask2Former; as a backbone it gives the last map of its own."""

    def _features(self, images: Tensor) -> Tensor:
        return self._trunk()(images).feature_maps[-1]

    def _trunk(self) -> nn.Module:
        return self.module.model.pixel_level_module.encoder


class HFDpt(HFWhole):
    """A whole DPT that names pixels; as a backbone it gives the patches of its transformer."""

    def _features(self, images: Tensor) -> Tensor:
        patches = self._trunk()(images).last_hidden_state[:, 1:]
        height = round((patches.shape[1] * images.shape[-2] / images.shape[-1]) ** 0.5)
        return patches.transpose(1, 2).unflatten(2, (height, -1))

    def _trunk(self) -> nn.Module:
        return self.module.dpt


WHOLE: dict[str, type[HFWhole]] = {"eomt": HFEomt, "mask2former": HFMask2Former, "dpt": HFDpt}


def build_segmenter(
    architecture: dict[str, Any], preprocess: Preprocess, size: int | None, weights: Path | None, spec: str, seed: int
) -> HFWhole:
    """As `read_whole` reads it."""
    size = size or preprocess.image_size
    module = read_whole(architecture["config"], weights, spec, seed)
    kind = WHOLE[module.config.model_type]
    return kind(hf_model.at_image_size(module, size), preprocess.with_size(size), architecture)
