"""Models of transformers: made untrained or read from a folder, freed of their classifier, fitted to an image size."""

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adapters.backbones import allowed
from adapters.backbones.hf_logging import quiet
from adapters.backbones.positions import fit_positions
from adapters.backbones.safetensors_only import read_json, read_tensors
from adapters.backbones.seeds import seeded
from adapters.backbones.weightless import run_weightless
from studio.core.errors import UsageError, one_line

BOOKKEEPING = ("architectures", "_name_or_path", "transformers_version", "dtype", "torch_dtype", "image_size")


def identity(config: dict[str, Any]) -> dict[str, Any]:
    """What makes a config this network and no other; that of a folder has bookkeeping beside it."""
    kept = {key: value for key, value in config.items() if key not in BOOKKEEPING}
    return {"library": "transformers", "config": kept}


def read_config(values: dict[str, Any]) -> Any:
    """A config of transformers from plain data, `model_type` included.

    Raises UsageError for what is not allowed from outside (see `allowed`), and for what transformers refuses.
    """
    from transformers import AutoConfig

    fields = allowed.transformers_config(values)
    try:
        with quiet():
            config = AutoConfig.for_model(**fields)
    except Exception as error:  # transformers checks fields by exceptions of its own
        raise UsageError(f"model.backbone: no {values['model_type']} has such a config: {one_line(error)}") from error
    config.architectures = config.architectures or []  # transformers walks through them
    return config


def config_in(folder: Path) -> Any:
    """The config in a folder, labels included. Raises UsageError where it can't be read, or may not."""
    return read_config(read_json(folder / "config.json"))


def detects(config: Any) -> bool:
    """The config is that of a model that finds boxes."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES as DETECTORS

    return config.model_type in DETECTORS


def vision(config: Any) -> Any:
    """The part of a config that describes the image side (CLIP, SigLIP), or the config itself."""
    return getattr(config, "vision_config", config)


def image_size(config: Any) -> int | None:
    size = getattr(vision(config), "image_size", None)
    return size if isinstance(size, int) or size is None else size[-1]


def patch_size(config: Any) -> int:
    """Side of a patch in pixels; 1 for CNNs."""
    size = getattr(vision(config), "patch_size", None) or 1
    return size if isinstance(size, int) else size[-1]


def create(config: Any, seed: int) -> nn.Module:
    """The untrained model, the same for the same seed."""
    try:
        with seeded(seed), quiet():
            return _class(config).from_config(copy.deepcopy(config)).float()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"model.backbone: transformers can't build {config.model_type}: {one_line(error)}") from error


def read(folder: Path, config: Any, spec: str) -> nn.Module:
    """The model with the safetensors of `folder`, as float32. Raises UsageError where a tensor does not arrive.

    transformers gets the tensors and never the folder, in which files may name further ones (adapters, shards, code).
    """
    try:
        with quiet():
            module, report = _concrete(config).from_pretrained(
                None,
                config=copy.deepcopy(config),
                state_dict=read_tensors(folder),
                dtype=torch.float32,  # else a bf16 file stays bf16
                ignore_mismatched_sizes=True,  # the classifier's; the rest is looked at below
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"model.backbone: the weights of {spec} can't be loaded: {one_line(error)}") from error
    if getattr(module, "main_input_name", "") != "pixel_values":
        raise UsageError(f"model.backbone: {spec} is a {config.model_type} model, which does not look at images.")
    _require_all(module, report, spec)
    return module


def trunk(module: nn.Module) -> nn.Module:
    """The part of a model that carries its image features: all but the classifier."""
    if "ForImageClassification" not in type(module).__name__:
        return module
    return max(module.children(), key=lambda part: sum(parameter.numel() for parameter in part.parameters()))


def without_head(module: nn.Module) -> nn.Module:
    """The model with an Identity for each linear layer behind its trunk."""
    for name in head_names(module):
        module.set_submodule(name, nn.Identity())
    return module


def head(module: nn.Module) -> nn.Module | None:
    """The linear layer behind the trunk; None where there is none, or more than one."""
    names = head_names(module)
    return module.get_submodule(names[0]) if len(names) == 1 else None


def head_names(module: nn.Module) -> list[str]:
    """Names of the linear layers behind the trunk."""
    inside = set(trunk(module).modules())
    return [name for name, part in module.named_modules() if isinstance(part, nn.Linear) and part not in inside]


def at_image_size(module: nn.Module, size: int) -> nn.Module:
    """The model for images of `size` pixels: itself where it takes them, else with resampled position embeddings."""
    own = image_size(module.config)
    if own in (None, size) or _takes(module, size):
        return module
    config = copy.deepcopy(module.config)
    vision(config).image_size = size
    resized = type(module)(config)
    wanted = resized.state_dict()
    resized.load_state_dict(
        {name: fit_positions(name, tensor, wanted[name]) for name, tensor in module.state_dict().items()}
    )
    return resized


def _takes(module: nn.Module, size: int) -> bool:
    try:
        run_weightless(module.eval(), pixel_values=torch.empty(1, 3, size, size, device="meta"))
    except (RuntimeError, ValueError):
        return False
    return True


def _require_all(module: nn.Module, report: dict[str, Any], spec: str) -> None:
    body = trunk(module)
    prefix = next(f"{name}." if name else "" for name, part in module.named_modules() if part is body)
    absent = {*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"])}
    missing = {
        name: tensor for name, tensor in module.state_dict().items() if name in absent and name.startswith(prefix)
    }
    matrices = [name for name, tensor in missing.items() if tensor.ndim > 1]
    if matrices:
        kind = type(module).__name__
        raise UsageError(f"model.backbone: {spec} lacks tensors of a {kind} ({len(missing)}), such as {matrices[0]}.")
    if missing:
        warnings.warn(f"{spec} lacks {', '.join(missing)}: these start as in an untrained network.", stacklevel=2)


def _class(config: Any) -> Any:
    from transformers import (
        AutoModel,
        AutoModelForImageClassification,
        AutoModelForObjectDetection,
        AutoModelForSemanticSegmentation,
        AutoModelForUniversalSegmentation,
    )
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS

    if config.model_type in CLASSIFIERS:
        return AutoModelForImageClassification
    if config.model_type in ("eomt", "mask2former"):  # whose parts alone are no backbones
        return AutoModelForUniversalSegmentation
    if config.model_type == "dpt":
        return AutoModelForSemanticSegmentation
    return AutoModelForObjectDetection if detects(config) else AutoModel


def _concrete(config: Any) -> Any:
    """The class of the model itself, which unlike an Auto class takes tensors without a folder."""
    models = _class(config)._model_mapping
    if type(config) not in models:
        raise UsageError(f"model.backbone: transformers has no model for {config.model_type}.")
    found = models[type(config)]
    return found[0] if isinstance(found, (list, tuple)) else found
