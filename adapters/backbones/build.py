"""From an architecture to a backbone."""

from typing import Any

from adapters.backbones import conv_face, hf_face, timm_face
from adapters.backbones.face import Backbone
from studio.core.errors import UsageError, nearest

BUILDERS = {"timm": timm_face.build, "transformers": hf_face.build, "studio": conv_face.build}


def build(architecture: dict[str, Any], image_size: int | None = None, spec: str = "", seed: int = 0) -> Backbone:
    """An untrained backbone of this architecture (see `Backbone.architecture`)."""
    library = architecture.get("library")
    if library not in BUILDERS:
        raise UsageError(f"model.backbone: {spec} is of a library {library!r}.{nearest(str(library), BUILDERS)}")
    return BUILDERS[library](architecture, image_size, spec=spec, seed=seed)
