"""EoMT of transformers, pretrained as a whole: what segment/eomt can start from."""

from pathlib import Path
from typing import Any

from torch import Tensor

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


def build_eomt(
    architecture: dict[str, Any], preprocess: Preprocess, size: int | None, weights: Path | None, spec: str, seed: int
) -> HFEomt:
    """As `read_whole` reads it."""
    size = size or preprocess.image_size
    module = read_whole(architecture["config"], weights, spec, seed)
    return HFEomt(hf_model.at_image_size(module, size), preprocess.with_size(size), architecture)
