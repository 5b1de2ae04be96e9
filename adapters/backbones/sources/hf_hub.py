"""`hf/ORG/NAME[@revision]`: vision models of the Hugging Face Hub, or of its local cache.

`hf/MODEL_TYPE?random` is untrained, with the fields of its config behind the `?`:
`hf/vit?random&hidden_size=32&num_hidden_layers=2&num_attention_heads=2&image_size=32&patch_size=8`.
"""

from typing import Any

from adapters.backbones import hf_model
from adapters.backbones.allowed import DROPPED
from adapters.backbones.face import Backbone
from adapters.backbones.hf_face import architecture_of, build
from adapters.backbones.sources.folder import open_folder
from adapters.backbones.sources.hub import cached, fetch
from adapters.backbones.sources.request import Request, source
from studio.core.errors import UsageError, nearest
from studio.core.rights import Rights
from studio.data.preprocess import Preprocess

VISION = ("image_size", "num_channels", "vision_config", "pretrained_cfg")  # fields that only models of images have


def _listing(rights: Rights) -> list[dict[str, Any]]:
    rows = [
        {"name": f"hf/{repo}", "usable": True, "about": "in the local hub cache"}
        for repo, config in cached(rights).items()
        if any(key in config for key in VISION) and not repo.startswith("timm/")
    ]
    return [
        *rows,
        {"name": "hf/ORG/NAME[@revision]", "usable": False, "about": "any vision model of the Hugging Face Hub"},
    ]


@source("hf", _listing)
def load(request: Request) -> Backbone:
    if request.random:
        return build(_untrained(request), request.image_size, None, request.spec, request.seed)
    if request.name.count("/") != 1 or request.arguments():
        raise UsageError(f"model.backbone: {request.spec!r}: expected hf/ORG/NAME[@revision], or hf/MODEL_TYPE?random.")
    return open_folder(fetch(request.name, request.tag, request.weights, home=request.home), request)


def _untrained(request: Request) -> dict[str, Any]:
    from transformers import CONFIG_MAPPING

    if request.name not in CONFIG_MAPPING:
        raise UsageError(
            f"model.backbone: transformers has no {request.name!r}.{nearest(request.name, CONFIG_MAPPING)}"
        )
    fields = request.arguments()
    if size := request.options.get("image_size") or request.options.get("img_size"):
        fields["image_size"] = size
    default = hf_model.read_config({"model_type": request.name})
    known = hf_model.vision(default).to_dict().keys() - DROPPED
    for key in fields:
        if key not in known:  # transformers takes any field without a word
            raise UsageError(f"model.backbone: {request.name} has no field {key!r}.{nearest(key, known)}")
    two_sided = hf_model.vision(default) is not default
    config = hf_model.read_config({"model_type": request.name, **({"vision_config": fields} if two_sided else fields)})
    half = (0.5, 0.5, 0.5)
    return architecture_of(config, Preprocess(hf_model.image_size(config) or 224, 1.0, "bicubic", half, half))
