"""`studio/conv4`, `studio/resnet12`, `studio/lenet`, `studio/mlp` and `studio/osnet`: small networks, untrained.

Behind a `?` stand `image_size` (28 for lenet, mlp and conv4, 84 for resnet12, 256 for osnet), `in_chans=1` for grey
images, `width` or `widths`, and `seed=0`: `studio/conv4?image_size=28&in_chans=1`.
"""

from typing import Any

from adapters.backbones.conv_face import build
from adapters.backbones.face import Backbone
from adapters.backbones.sources.request import Request, source
from studio.core.rights import Rights


def _listing(rights: Rights) -> list[dict[str, Any]]:
    return [
        {
            "name": "studio/conv4",
            "usable": True,
            "about": "Conv4, 64 channels, untrained: for meta-training on small images",
        },
        {"name": "studio/lenet", "usable": True, "about": "LeNet, untrained: for digits, to be trained from scratch"},
        {"name": "studio/mlp", "usable": True, "about": "two hidden layers, untrained: for digits at 14 x 14"},
        {
            "name": "studio/osnet",
            "usable": True,
            "about": "OSNet, untrained: for individuals, to be trained from scratch; ?width=16 is its x0.25",
        },
        {"name": "studio/resnet12", "usable": True, "about": "ResNet-12, untrained: for meta-training"},
    ]


@source("studio", _listing)
def load(request: Request) -> Backbone:
    architecture = {"library": "studio", "name": request.name, "arguments": request.arguments()}
    return build(architecture, request.image_size, spec=request.spec, seed=request.seed)
