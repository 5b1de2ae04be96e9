"""What LPIPS has learned: a weight for each channel of five maps of VGG-16, which the package lpips (BSD) brings along.

Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric; version 0.1 of the weights.
The package is not imported, and its VGG not downloaded: `pip install --no-deps lpips`.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

NETWORK = "timm/vgg16.tv_in1k"  # whose channels the weights are of
LAYERS = (3, 8, 15, 22, 29)  # of its features: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3
FILE = "weights/v0.1/vgg.pth"


def lpips_heads(spec: str) -> list[np.ndarray] | None:
    """Weights [C] of each map, finest first; None for another network than LPIPS's, or where they are not installed."""
    package = find_spec("lpips") if spec == NETWORK else None
    places = package.submodule_search_locations if package is not None else None
    file = Path(next(iter(places))) / FILE if places else None
    if file is None or not file.is_file():
        return None
    stored = torch.load(file, map_location="cpu", weights_only=True)
    return [stored[f"lin{place}.model.1.weight"].flatten().numpy() for place in range(len(LAYERS))]
