"""`timm/NAME[@pretrained_tag]` with weights from the hub or its local cache; `timm/NAME?random` untrained.

Behind the `?` stand `seed=0`, `img_size=64` and whatever else the network's constructor takes:
`timm/vit_tiny_patch16_224?random&img_size=32&patch_size=8&embed_dim=64&depth=2&num_heads=2`.
"""

from typing import Any

from adapters.backbones.face import Backbone
from adapters.backbones.safetensors_only import weights_file
from adapters.backbones.sources.hub import cached, fetch
from adapters.backbones.sources.request import Request, source
from adapters.backbones.timm_face import build
from studio.core.errors import HubError, UsageError, nearest
from studio.core.rights import Rights


def _listing(rights: Rights) -> list[dict[str, Any]]:
    rows = [
        {
            "name": f"timm/{repo.removeprefix('timm/').replace('.', '@', 1)}",
            "usable": True,
            "about": "in the local hub cache",
        }
        for repo, config in cached(rights).items()
        if repo.startswith("timm/") and "architecture" in config
    ]
    return [
        *rows,
        {
            "name": "timm/vit_tiny_patch16_224?random",
            "usable": True,
            "about": "untrained; so is timm/NAME?random for any model of timm",
        },
        {"name": "timm/NAME[@tag]", "usable": False, "about": "any model of timm, weights from the hub"},
    ]


@source("timm", _listing)
def load(request: Request) -> Backbone:
    name, tag = _known(request)
    if request.random or not request.weights:
        full, weights = f"{name}.{tag}" if tag else name, None
    else:
        full, config = _pretrained(name, tag)
        weights = weights_file(fetch(config.hf_hub_id, home=request.home))
    architecture = {"library": "timm", "name": full, "arguments": request.arguments(), "config": None}
    return build(architecture, request.image_size, weights, request.spec, request.seed)


def _known(request: Request) -> tuple[str, str | None]:
    import timm

    name, _, dotted = request.name.partition(".")
    if not timm.is_model(name):
        raise UsageError(f"model.backbone: timm has no model {name!r}.{nearest(name, timm.list_models())}")
    return name, request.tag or dotted or None


def _pretrained(name: str, tag: str | None) -> tuple[str, Any]:
    import timm

    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{name}*") if known.partition(".")[0] == name]
    if not tags:
        raise HubError(f"model.backbone: there are no pretrained weights of {name}; timm/{name}?random is untrained.")
    if tag and tag not in tags:
        raise HubError(f"model.backbone: {name} has no weights {tag!r}.{nearest(tag, tags)}")
    full = f"{name}.{tag}" if tag else name
    config = timm.get_pretrained_cfg(full)
    if not config.hf_hub_id:
        others = ", ".join(tags)
        raise HubError(f"model.backbone: {full} comes as a pickle only, which is never loaded. Its tags: {others}.")
    return full, config
