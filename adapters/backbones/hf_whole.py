"""Models of transformers that were pretrained as a whole, heads included: what a method here can start from."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adapters.backbones import hf_model
from adapters.backbones.face import Backbone


class HFWhole(Backbone):
    """A whole model; as a backbone it gives a map of an image. `classes` are those that its heads know."""

    @property
    def classes(self) -> list[str]:
        names = self.module.config.id2label
        return [names[place] for place in sorted(names)]

    def _embed(self, images: Tensor) -> Tensor:
        return self._features(images).mean((2, 3))

    def _identity(self) -> dict[str, Any]:
        return hf_model.identity(self.architecture["config"])


def read_whole(config: dict[str, Any], weights: Path | None, spec: str, seed: int) -> nn.Module:
    """With the weights of a folder, heads and names of classes included, or untrained by `seed`."""
    if weights is None:
        return hf_model.create(hf_model.read_config(config), seed)
    return hf_model.read(weights, hf_model.config_in(weights), spec)
