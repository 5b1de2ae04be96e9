"""`file:FOLDER`: a local folder of timm (`save_for_hf`) or transformers (`save_pretrained`), with safetensors."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters.backbones import hf_face, hf_model, timm_face
from adapters.backbones.face import Backbone
from adapters.backbones.hf_preprocess import read_preprocess
from adapters.backbones.safetensors_only import read_json, require_safetensors, weights_file
from adapters.backbones.sources.request import Request, source
from studio.core.errors import UsageError
from studio.core.rights import Rights


def _listing(rights: Rights) -> list[dict[str, Any]]:
    return [
        {"name": "file:FOLDER", "usable": False, "about": "a local folder of timm or transformers with safetensors"}
    ]


@source("file", _listing)
def load(request: Request) -> Backbone:
    request.rights.require(Path(request.name), "model.backbone")
    folder = Path(request.name).expanduser().resolve()
    if not folder.is_dir():
        found = "is a file; name the folder that holds it and its config.json" if folder.is_file() else "is no folder"
        raise UsageError(f"model.backbone: {folder} {found}.")
    return open_folder(folder, replace(request, spec=f"file:{folder}"))


def open_folder(folder: Path, request: Request) -> Backbone:
    """The backbone in a folder with config.json and safetensors. Raises UsageError where it is anything else."""
    config = read_json(folder / "config.json")
    if request.weights:
        require_safetensors(folder)
    if "architecture" in config:
        backbone = _timm(folder, config, request)
    elif "model_type" in config:
        backbone = _transformers(folder, request)
    else:
        raise UsageError(
            f"model.backbone: {folder / 'config.json'} is neither timm's (architecture) nor transformers' (model_type)."
        )
    backbone.spec = request.spec
    return backbone


def _timm(folder: Path, config: dict[str, Any], request: Request) -> Backbone:
    """timm's own folder, or one of transformers' TimmWrapper."""
    arguments = dict(config.get("model_args") or {})
    described = {**config, **(config.get("pretrained_cfg") or {})}
    described["num_classes"] = arguments.pop("num_classes", described.get("num_classes", 1000))
    architecture = {"library": "timm", "name": config["architecture"], "arguments": arguments, "config": described}
    weights = weights_file(folder) if request.weights else None
    return timm_face.build(architecture, request.image_size, weights, request.spec)


def _transformers(folder: Path, request: Request) -> Backbone:
    config = hf_model.config_in(folder)
    architecture = hf_face.architecture_of(config, read_preprocess(folder, hf_model.image_size(config)))
    return hf_face.build(architecture, request.image_size, folder if request.weights else None, request.spec)
