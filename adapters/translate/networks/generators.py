"""Generators: images float [B, 3, H, W] in -1..1 -> the same in another look; any size in multiples of `stride`.

Both enlarge by a resize and a convolution and pad by reflection, so that no checkerboard and no dark rim comes in.
Odena et al. 2016, Deconvolution and Checkerboard Artifacts.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class ResNetGenerator(nn.Module):
    """Two halvings, residual blocks, two doublings. Johnson et al. 2016; Zhu et al. 2017, CycleGAN, appendix 7.2.

    `width` channels at full size; 9 blocks for 256 pixels and more, 6 below.
    """

    stride = 4

    def __init__(self, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        wide = 4 * width
        self.stem = conv_block(3, width, 7)
        self.down = nn.ModuleList([conv_block(width, 2 * width, 3, 2), conv_block(2 * width, wide, 3, 2)])
        self.blocks = nn.ModuleList([ResidualBlock(wide) for _ in range(blocks)])
        self.up = nn.Sequential(UpBlock(wide, 2 * width), UpBlock(2 * width, width))
        self.last = nn.Sequential(nn.Conv2d(width, 3, 7, padding=3, padding_mode="reflect"), nn.Tanh())
        normal_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.up(self._encoded(images)[-1]))

    def tapped(self, images: Tensor) -> list[Tensor]:
        """Maps at five depths: pixels, both halvings, the first and the middle block. Park et al. 2020, appendix C."""
        maps = self._encoded(images, stop=self.middle)
        return [maps[0], maps[2], maps[3], maps[4], maps[-1]]

    @property
    def middle(self) -> int:
        """The number of the block in the middle, from 1."""
        return (len(self.blocks) + 1) // 2

    @property
    def tapped_channels(self) -> list[int]:
        """Channels of the maps of `tapped`."""
        width = self.last[0].in_channels
        return [3, 2 * width, 4 * width, 4 * width, 4 * width]

    def _encoded(self, images: Tensor, stop: int | None = None) -> list[Tensor]:
        """The images and every map after them, to the last block or that of number `stop`."""
        maps = [images]
        for layer in (self.stem, *self.down, *self.blocks[:stop]):
            maps.append(layer(maps[-1]))
        return maps


class UNetGenerator(nn.Module):
    """`depth` halvings and as many doublings, with the map of its size beside each. Isola et al. 2017, appendix 6.1.

    Beside the last stands the image itself, which the paper leaves out: else edges come in steps of two pixels.
    """

    def __init__(self, width: int = 64, depth: int = 6, dropout: float = 0.5) -> None:
        super().__init__()
        widths = [min(8, 2**level) * width for level in range(depth)]
        self.stride = 2**depth
        self.down = nn.ModuleList()
        for level, channels in enumerate(widths):
            inside = 3 if level == 0 else widths[level - 1]
            self.down.append(DownBlock(inside, channels, norm=level > 0))
        self.up = nn.ModuleList()
        for level in range(depth - 1, 0, -1):
            inside = widths[level] if level == depth - 1 else 2 * widths[level]
            self.up.append(UpBlock(inside, widths[level - 1], dropout if level > depth - 3 else 0.0))
        inside = widths[0] if depth == 1 else 2 * widths[0]
        self.full = conv_block(inside + 3, width, 3)
        self.last = nn.Sequential(nn.Conv2d(width, 3, 3, padding=1, padding_mode="reflect"), nn.Tanh())
        normal_weights(self)

    @property
    def tapped_channels(self) -> list[int]:
        """Channels of the maps of `tapped`."""
        return [3, *(layer.layers[0].out_channels for layer in self.down[:4])]

    def tapped(self, images: Tensor) -> list[Tensor]:
        """The pixels and the maps of the first four halvings."""
        maps = [images]
        for layer in self.down[:4]:
            maps.append(layer(maps[-1]))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        skips = [images]
        for layer in self.down:
            skips.append(layer(skips[-1]))
        out = skips.pop()
        for layer in self.up:
            out = torch.cat([layer(out), skips.pop()], dim=1)
        out = interpolate(out, scale_factor=2.0, mode="nearest")
        return self.last(self.full(torch.cat([out, images], dim=1)))


class ResidualBlock(nn.Module):
    """x + two convolutions of it. He et al. 2016."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv_block(channels, channels, 3), conv_block(channels, channels, 3, relu=False))

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps)


class DownBlock(nn.Module):
    """A convolution of stride 2, instance normalisation, leaky ReLU."""

    def __init__(self, inside: int, outside: int, norm: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(inside, outside, 4, 2, 1, padding_mode="reflect")]
        layers += [nn.InstanceNorm2d(outside)] if norm else []
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(0.2))

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps)


class UpBlock(nn.Module):
    """Twice the size by nearest pixels, a convolution, instance normalisation, ReLU."""

    def __init__(self, inside: int, outside: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = conv_block(inside, outside, 3)
        self.dropout = nn.Dropout(dropout)

    def forward(self, maps: Tensor) -> Tensor:
        return self.dropout(self.layers(interpolate(maps, scale_factor=2.0, mode="nearest")))


def conv_block(inside: int, outside: int, kernel: int, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """Convolution over reflected edges, instance normalisation, ReLU. Ulyanov et al. 2016, Instance Normalization."""
    convolution = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, padding_mode="reflect")
    return nn.Sequential(convolution, nn.InstanceNorm2d(outside), nn.ReLU() if relu else nn.Identity())


@torch.no_grad()
def normal_weights(module: nn.Module, deviation: float = 0.02) -> None:
    """Weights from N(0, 0.02), biases 0. Zhu et al. 2017, appendix 7.1."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.weight.normal_(0.0, deviation)
            if layer.bias is not None:
                layer.bias.zero_()


def parameters_of(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """The parameters of several modules."""
    return [parameter for module in modules for parameter in module.parameters()]


def make_generator(kind: str, width: int, image_size: int, blocks: Sequence[int] = (6, 9)) -> nn.Module:
    """A generator for images of about `image_size` pixels."""
    if kind == "unet":
        depth = max(2, min(7, image_size.bit_length() - 3))  # the smallest map has 4 x 4 places or more
        return UNetGenerator(width, depth)
    return ResNetGenerator(width, blocks[1] if image_size >= 256 else blocks[0])
