"""A backbone with a head as a folder for `AutoModelForImageClassification.from_pretrained`."""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adapters.backbones import hf_model
from adapters.backbones.face import Backbone
from adapters.backbones.hf_preprocess import RESAMPLE
from studio.core.errors import UsageError
from studio.data.preprocess import Preprocess


def save_hugging_face(backbone: Backbone, head: nn.Linear, classes: list[str], folder: Path) -> None:
    """Writes config.json, model.safetensors and what the image processor reads.

    timm networks become a TimmWrapper, those of transformers their own ForImageClassification. Raises
    UsageError for a network that transformers has no classifier for.
    """
    writers = {"timm": _timm, "transformers": _transformers}
    library = backbone.architecture["library"]
    if library not in writers or backbone.in_chans != 3:
        raise UsageError(f"format hf: transformers has no classifier for {backbone.spec}; onnx and safetensors fit it.")
    labels = {"id2label": dict(enumerate(classes)), "label2id": {name: i for i, name in enumerate(classes)}}
    with hf_model.quiet():
        writers[library](backbone, head, labels, folder)


def _timm(backbone: Backbone, head: nn.Linear, labels: dict[str, Any], folder: Path) -> None:
    from transformers import TimmWrapperConfig, TimmWrapperForImageClassification

    preprocess = backbone.preprocess
    arguments = dict(backbone.architecture["arguments"])
    if "img_size" in arguments or hasattr(getattr(backbone.module, "patch_embed", None), "img_size"):
        arguments["img_size"] = preprocess.image_size
    config = TimmWrapperConfig(
        architecture=backbone.architecture["name"].partition(".")[0], model_args=arguments, **labels
    )
    config.pretrained_cfg = {
        "input_size": [3, preprocess.image_size, preprocess.image_size],
        "interpolation": preprocess.interpolation,
        "crop_pct": 1.0 if preprocess.squash else preprocess.crop_pct,
        "crop_mode": "squash" if preprocess.squash else "center",
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
    }
    model = TimmWrapperForImageClassification(config)
    _fill(model.timm_model, backbone.module, head)
    model.save_pretrained(folder)


def _transformers(backbone: Backbone, head: nn.Linear, labels: dict[str, Any], folder: Path) -> None:
    cls = type(backbone.module)
    if "ForImageClassification" not in cls.__name__:
        raise UsageError(
            f"format hf: transformers has no image classifier for {backbone.module.config.model_type}; "
            "onnx and safetensors fit it."
        )
    config = copy.deepcopy(backbone.module.config)
    config.id2label, config.label2id = labels["id2label"], labels["label2id"]
    model = cls(config)
    _fill(model, backbone.module, head)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(_processor(backbone.preprocess), indent=2))


def _fill(model: nn.Module, trained: nn.Module, head: nn.Linear) -> None:
    """Trained tensors into `model`, and the head into the one linear layer that `trained` lacks."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in trained.state_dict().items()}
    lacking = sorted({name.rpartition(".")[0] for name in model.state_dict().keys() - state.keys()})
    if len(lacking) != 1:
        raise UsageError(
            "format hf: this network's own classifier is more than one layer; onnx and safetensors fit it."
        )
    weight, bias = head.weight.detach().cpu(), head.bias.detach().cpu()
    slot = model.get_submodule(lacking[0])
    if isinstance(slot, nn.Conv2d):
        weight = weight[:, :, None, None]
    with torch.no_grad():
        model.load_state_dict({**state, f"{lacking[0]}.weight": weight, f"{lacking[0]}.bias": bias})


def _processor(preprocess: Preprocess) -> dict[str, Any]:
    side = preprocess.image_size
    shared = {
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocess.mean),
        "image_std": list(preprocess.std),
        "do_resize": True,
        "resample": next(number for number, name in RESAMPLE.items() if name == preprocess.interpolation),
    }
    if preprocess.squash:
        return {**shared, "image_processor_type": "ViTImageProcessor", "size": {"height": side, "width": side}}
    return {
        **shared,
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": int(side / preprocess.crop_pct)},
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
    }
