"""EoMT of transformers, pretrained as a whole: what segment/eomt can start from."""

from pathlib import Path
from typing import Any

from torch import Tensor

from adapters.backbones import hf_model
from adapters.backbones.face import Backbone
from studio.data.preprocess import Preprocess

BOOKKEEPING = ("architectures", "_name_or_path", "transformers_version", "dtype", "torch_dtype", "image_size")


class HFEomt(Backbone):
    """A whole EoMT; as a backbone it gives the patches that its blocks make of an image without any query.

    `classes` are those that its queries know.
    """

    @property
    def classes(self) -> list[str]:
        names = self.module.config.id2label
        return [names[place] for place in sorted(names)]

    def _embed(self, images: Tensor) -> Tensor:
        return self._features(images).mean((2, 3))

    def _features(self, images: Tensor) -> Tensor:
        model, patch = self.module, hf_model.patch_size(self.module.config)
        tokens = model.embeddings(images)
        for layer in model.layers:
            tokens = layer(tokens)
        patches = model.layernorm(tokens)[:, model.embeddings.num_prefix_tokens :]
        return patches.transpose(1, 2).unflatten(2, (images.shape[-2] // patch, images.shape[-1] // patch))

    def _identity(self) -> dict[str, Any]:
        config = {key: value for key, value in self.architecture["config"].items() if key not in BOOKKEEPING}
        return {"library": "transformers", "config": config}


def build_eomt(
    architecture: dict[str, Any], preprocess: Preprocess, size: int | None, weights: Path | None, spec: str, seed: int
) -> HFEomt:
    """With the weights of a folder, names of classes included, or untrained by `seed`."""
    size = size or preprocess.image_size
    if weights is None:
        module = hf_model.create(hf_model.read_config(architecture["config"]), seed)
    else:
        module = hf_model.read(weights, hf_model.config_in(weights), spec)
    return HFEomt(hf_model.at_image_size(module, size), preprocess.with_size(size), architecture)
