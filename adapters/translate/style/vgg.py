"""VGG as style transfer uses it: the convolutions of VGG-16 or VGG-19, asked for the maps after some of its ReLUs.

Simonyan and Zisserman 2015, Very Deep Convolutional Networks, table 1, columns D and E.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad, relu

BLOCKS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # convolutions of each block
WIDTHS = (64, 128, 256, 512, 512)
LEAST = 1e-6  # below which a layer is silent
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Vgg(nn.Module):
    """Images [B, 3, H, W] in 0..1 -> {name: map [B, C, h, w]}, named relu1_1 to relu5_3 (or relu5_4).

    Paddings repeat the rim, so that a frame of zeros is no part of a style. Frozen.
    """

    def __init__(self, depth: int = 16, last: str = "relu5_1", widths: Sequence[int] = WIDTHS) -> None:
        """Nothing after the layer `last` is built."""
        super().__init__()
        self.layers = nn.ModuleDict()
        inside = 3
        for name, channels in _names(depth, widths):
            self.layers[name] = nn.Conv2d(inside, channels, 3)
            inside = channels
            if name == last:
                break
        mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in IMAGENET)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.requires_grad_(False)

    def forward(self, images: Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
        features, maps = (images - self.mean) / self.deviation, dict[str, Tensor]()
        for name, layer in self.layers.items():
            if name.endswith("_1") and not name.startswith("relu1"):
                features = max_pool2d(features, 2, ceil_mode=True)
            features = relu(layer(pad(features, (1, 1, 1, 1), mode="replicate")))
            if name in wanted:
                maps[name] = features
            if len(maps) == len(wanted):
                break
        return maps

    @torch.no_grad()
    def normalize(self, images: Sequence[Tensor]) -> None:
        """Scales each layer to a mean activation of 1 over images [3, h, w]. Gatys et al. 2016, section 2.

        ReLUs let positive factors through, so every map is what it was, times a number.
        """
        names = list(self.layers)
        sums = dict.fromkeys(names, 0.0)
        for image in images:
            for name, features in self(image[None], names).items():
                sums[name] += float(features.mean()) / len(images)
        before = 1.0
        for name in names:
            layer, mean = self.layers[name], max(sums[name], LEAST)
            layer.weight.mul_(before / mean)
            layer.bias.div_(mean)
            before = mean

    def channels(self, name: str) -> int:
        return self.layers[name].out_channels


def _names(depth: int, widths: Sequence[int]) -> list[tuple[str, int]]:
    return [
        (f"relu{block}_{number}", channels)
        for block, (count, channels) in enumerate(zip(BLOCKS[depth], widths, strict=True), start=1)
        for number in range(1, count + 1)
    ]
