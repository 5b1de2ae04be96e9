"""Backbones of timm."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adapters.backbones import allowed
from adapters.backbones.at_size import at_size
from adapters.backbones.face import Backbone
from adapters.backbones.seeds import seeded
from studio.core.errors import UsageError, one_line
from studio.data.preprocess import Preprocess

SIZE_ARGUMENTS = ("img_size", "num_classes", "global_pool")  # which don't decide what the weights compute


class TimmBackbone(Backbone):
    """A network of timm without its classifier."""

    def _embed(self, images: Tensor) -> Tensor:
        return self.module(images)

    def _features(self, images: Tensor) -> Tensor:
        return self._places(self.module.forward_features(images))

    def _places(self, features: Tensor) -> Tensor:
        if not isinstance(features, Tensor):
            name = self.architecture["name"]
            raise UsageError(f"model.backbone: {name} gives features at several scales, which no method here takes.")
        if features.ndim == 4 and str(getattr(self.module, "output_fmt", "")) == "NHWC":
            return features.flatten(1, 2)
        return features[:, getattr(self.module, "num_prefix_tokens", 0) :] if features.ndim == 3 else features

    def _both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.module.forward_features(images)
        return self.module.forward_head(features), self._places(features)

    def _depth_names(self) -> list[list[str]]:
        from timm.models import group_parameters

        if not hasattr(self.module, "group_matcher"):
            return super()._depth_names()
        groups = group_parameters(self.module, self.module.group_matcher(coarse=False))
        return [names for _, names in sorted(groups.items())]

    def _identity(self) -> dict[str, Any]:
        arguments = self.architecture["arguments"]
        kept = {key: value for key, value in arguments.items() if key not in SIZE_ARGUMENTS}
        return {"library": "timm", "name": self.architecture["name"].partition(".")[0], "arguments": kept}


def build(
    architecture: dict[str, Any],
    image_size: int | None = None,
    weights: Path | None = None,
    spec: str = "",
    seed: int = 0,
) -> Backbone:
    """A TimmBackbone of {name, arguments, config (timm's pretrained_cfg, or None for the registered one)}.

    `weights` is a safetensors file of the whole network, classifier included; every tensor must arrive. Without
    it the network is untrained, the same for the same seed. Position embeddings are resampled to `image_size`.
    """
    architecture = allowed.architecture(architecture)
    config, arguments = _config(architecture), architecture["arguments"]
    own = _side(arguments.get("img_size") or config["input_size"][-1])
    in_chans = arguments.get("in_chans") or 3
    if in_chans not in (1, 3):
        raise UsageError(
            f"model.backbone: {spec} takes {in_chans} channels; images here have 3, or 1 where grey ones do."
        )

    def make(size: int | None, file: Path | None = weights) -> Backbone:
        size = size or own
        sized = {"img_size": size} if "img_size" in arguments or _fixes_size(architecture, config) else {}
        module, head = _create(architecture, sized, file, spec, seed)
        backbone = TimmBackbone(module, _preprocess(config, size), architecture, in_chans)
        return backbone.keep_source_head(head if file else None)

    wanted = None if image_size == own else image_size
    return at_size(make, lambda size: make(size, None), _patch, wanted, spec)


def _create(
    architecture: dict[str, Any], sized: dict[str, Any], weights: Path | None, spec: str, seed: int
) -> tuple[nn.Module, nn.Module]:
    """The network, and its classifier apart."""
    import timm
    from safetensors import SafetensorError

    arguments = {**architecture["arguments"], **sized}
    try:
        with seeded(seed):
            module = timm.create_model(
                architecture["name"],
                pretrained=bool(weights),  # with False, timm ignores the overlay without a word
                pretrained_cfg=architecture["config"],
                pretrained_cfg_overlay={"file": str(weights), "custom_load": False} if weights else None,
                **arguments,
            )
    except (TypeError, ValueError, KeyError, AssertionError, RuntimeError, SafetensorError) as error:
        raise UsageError(f"model.backbone: timm can't make {spec}: {one_line(error)}") from error
    head = module.get_classifier()
    module.reset_classifier(0)  # loaded whole first: timm then insists that every tensor arrives
    return module, head


def _config(architecture: dict[str, Any]) -> dict[str, Any]:
    """timm's pretrained_cfg, with its defaults."""
    import timm
    from timm.models import PretrainedCfg

    own = architecture["config"]
    config = PretrainedCfg(**own) if own else timm.get_pretrained_cfg(architecture["name"]) or PretrainedCfg()
    return asdict(config)


def _fixes_size(architecture: dict[str, Any], config: dict[str, Any]) -> bool:
    """The constructor takes an image size. A config saved with a model may deny what the registered one says."""
    return config["fixed_input_size"] or _config({**architecture, "config": None})["fixed_input_size"]


def _patch(module: nn.Module) -> int:
    return _side(getattr(getattr(module, "patch_embed", None), "patch_size", 1))


def _side(size: Any) -> int:
    """The side of a square given as one number or as two."""
    return int(size) if isinstance(size, (int, float)) else int(size[-1])


def _preprocess(config: dict[str, Any], image_size: int) -> Preprocess:
    known = ("nearest", "bilinear", "bicubic")
    return Preprocess(
        image_size=image_size,
        crop_pct=config["crop_pct"] or 0.875,
        interpolation=config["interpolation"] if config["interpolation"] in known else "bicubic",
        mean=tuple(config["mean"])[:3],
        std=tuple(config["std"])[:3],
        squash=config["crop_mode"] == "squash",
    )
