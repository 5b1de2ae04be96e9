"""A trained detector as a folder for `AutoModelForObjectDetection.from_pretrained`."""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapters.backbones import hf_model
from adapters.backbones.hf_preprocess import RESAMPLE
from adapters.detect.hf_base import TransformerDetector, model_of
from adapters.detect.trunk import Trunk
from studio.core.errors import UsageError
from studio.data.preprocess import Preprocess


def save_hugging_face(learner: TransformerDetector, preprocess: Preprocess, folder: Path) -> None:
    """Writes config.json, model.safetensors and preprocessor_config.json.

    Raises UsageError where transformers has no such model with the backbone that it stands on.
    """
    with hf_model.quiet():
        pure(learner).save_pretrained(folder)
        processor_of(learner.processor, preprocess).save_pretrained(folder)


def pure(learner: TransformerDetector) -> nn.Module:
    """The detector of transformers' own layers alone: where it stands on a backbone of ours, on timm's by name."""
    module = learner.export_module()
    trunk = module.get_submodule(learner.backbone_path)
    if not isinstance(trunk, Trunk):
        return module
    made = model_of(_config(learner, module.config, trunk))
    made.load_state_dict(_renamed(module.state_dict(), made.state_dict(), learner.backbone_path, trunk.backbone.spec))
    return made.eval()


def processor_of(name: str, preprocess: Preprocess) -> Any:
    """The image processor that squashes and normalises as it is done here."""
    import transformers

    side = preprocess.image_size
    return getattr(transformers, name)(
        size={"height": side, "width": side}, do_normalize=True, image_mean=list(preprocess.mean),
        image_std=list(preprocess.std), do_pad=False,
        resample=next(number for number, kind in RESAMPLE.items() if kind == preprocess.interpolation),
    )  # fmt: skip


def _config(learner: TransformerDetector, config: Any, trunk: Trunk) -> Any:
    from transformers import TimmBackboneConfig

    architecture = trunk.backbone.architecture
    if architecture["library"] != "timm" or not trunk.indices or learner.model_type == "rf_detr":
        raise UsageError(
            f"format hf: transformers has no {learner.model_type} on {trunk.backbone.spec}; safetensors fits it."
        )
    config = copy.deepcopy(config)
    config.backbone_config = TimmBackboneConfig(
        backbone=architecture["name"].partition(".")[0], out_indices=trunk.indices, features_only=True,
        use_pretrained_backbone=False, **architecture["arguments"],
    )  # fmt: skip
    return config


def _renamed(ours: dict[str, Tensor], wanted: dict[str, Tensor], path: str, spec: str) -> dict[str, Tensor]:
    """Our tensors under the names that transformers gives them; timm calls some layers otherwise in a pyramid."""
    inside = f"{path}.backbone.module."
    known = {_dotless(name.removeprefix(inside)): tensor for name, tensor in ours.items() if name.startswith(inside)}
    renamed = {}
    for name, tensor in wanted.items():
        own = ours.get(name)
        if name.startswith(f"{path}."):
            own = known.get(_dotless(name.removeprefix(f"{path}.").removeprefix("_backbone.").removeprefix("model.")))
        if own is None or own.shape != tensor.shape:
            raise UsageError(f"format hf: transformers builds {spec} otherwise ({name}); safetensors fits it.")
        renamed[name] = torch.clone(own.detach()).cpu()
    return renamed


def _dotless(name: str) -> str:
    return name.replace(".", "_")
