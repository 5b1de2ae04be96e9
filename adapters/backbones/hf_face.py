"""Backbones of transformers."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adapters.backbones import allowed, hf_model
from adapters.backbones.at_size import at_size
from adapters.backbones.face import Backbone
from adapters.backbones.hf_decoder import Decoder, decoder_in
from adapters.backbones.hf_detector import build_detector
from adapters.backbones.hf_segmenter import WHOLE, build_segmenter
from studio.data.preprocess import Preprocess

LABELS = ("id2label", "label2id", "problem_type")


class HFBackbone(Backbone):
    """A vision model of transformers. Features are what the model's own image classifier would see.

    That is the class token for ViT, the mean of patch tokens for BEiT and SigLIP, both of these for DINOv2, the
    pooled map for Swin and CNNs. A model without an image classifier gives its `pooler_output`.

    decoder   that of the whole SegFormer whose encoder this is, where one came along; no part of the network
    """

    decoder: Decoder | None = None

    def _embed(self, images: Tensor) -> Tensor:
        output = self.module(pixel_values=images)
        if "logits" in output:
            return output.logits.flatten(1)
        pooled = output.get("pooler_output")
        return pooled.flatten(1) if pooled is not None else self._places(output.last_hidden_state, images).mean(1)

    def _features(self, images: Tensor) -> Tensor:
        return self._places(self._trunk()(pixel_values=images).last_hidden_state, images)

    def _places(self, hidden: Tensor, images: Tensor) -> Tensor:
        """Without class, distillation and register tokens, which stand before the patches."""
        if hidden.ndim != 3:
            return hidden
        patch = hf_model.patch_size(self.module.config)
        patches = (images.shape[-2] // patch) * (images.shape[-1] // patch)
        return hidden[:, hidden.shape[1] - patches :] if hidden.shape[1] > patches else hidden

    def _trunk(self) -> nn.Module:
        return hf_model.trunk(self.module)

    def _identity(self) -> dict[str, Any]:
        return hf_model.identity(self.architecture["config"])


def build(
    architecture: dict[str, Any],
    image_size: int | None = None,
    weights: Path | None = None,
    spec: str = "",
    seed: int = 0,
) -> Backbone:
    """An HFBackbone of {config (of transformers), preprocess}, with the weights of a folder, or untrained by `seed`.

    Position embeddings are resampled to `image_size` where the model does not do that itself.
    """
    architecture = allowed.architecture(architecture)
    preprocess = Preprocess.from_dict(architecture["preprocess"])
    config = hf_model.read_config(architecture["config"])
    if hf_model.detects(config):
        return build_detector(architecture, preprocess, image_size, weights, spec, seed)
    if config.model_type in WHOLE:
        return build_segmenter(architecture, preprocess, image_size, weights, spec, seed)

    def make(size: int | None, folder: Path | None = weights) -> Backbone:
        size = size or preprocess.image_size
        module = hf_model.read(folder, config, spec) if folder else hf_model.create(config, seed)
        module = hf_model.at_image_size(module, size)
        head = hf_model.head(module) if folder else None
        backbone = HFBackbone(hf_model.without_head(module), preprocess.with_size(size), architecture)
        backbone.decoder = decoder_in(folder, spec) if folder and config.model_type == "segformer" else None
        return backbone.keep_source_head(head)

    wanted = None if image_size == preprocess.image_size else image_size
    return at_size(make, lambda size: make(size, None), lambda module: hf_model.patch_size(module.config), wanted, spec)


def architecture_of(config: Any, preprocess: Preprocess) -> dict[str, Any]:
    """Plain data that stands for a config of transformers; names of labels are left out."""
    values = json.loads(config.to_json_string(use_diff=False))
    kept = {key: value for key, value in values.items() if key not in LABELS}
    return {"library": "transformers", "config": kept, "preprocess": preprocess.to_dict()}
