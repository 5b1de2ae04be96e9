"""OSNet: a light network whose blocks look at several sizes at once and choose between them for each image."""

import torch
from torch import Tensor, nn

STREAMS = 4  # of 1 to 4 convolutions in a row: fields of 3 to 9 pixels
STEM, STAGES = 64, (256, 384, 512)  # channels of the stem and of the stages, at full width
GATE = 16  # by which the gate narrows


class OSNet(nn.Module):
    """Images [B, in_chans, H, W] -> map [B, 512, H / 16, W / 16]; features are its mean. `width` scales all channels.

    Zhou et al. 2019, Omni-Scale Feature Learning for Person Re-Identification, table 1 and figures 3 to 5; its last
    fully connected layer is left to what is built on top.
    """

    def __init__(self, in_chans: int = 3, width: int = STEM) -> None:
        """`width`: channels of the stem; 64 is the paper's x1.0, 16 its x0.25."""
        super().__init__()
        stem, *stages = (channels * width // STEM for channels in (STEM, *STAGES))
        first = nn.Sequential(*_convolved(in_chans, stem, 7, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        blocks: list[nn.Module] = [first]
        for number, (before, channels) in enumerate(zip((stem, *stages), stages, strict=False)):
            last = number == len(stages) - 1
            blocks += [
                OmniScaleBlock(before, channels),
                nn.Sequential(OmniScaleBlock(channels, channels), *(() if last else _narrowed(channels))),
            ]
        blocks[-1].append(nn.Sequential(*_convolved(stages[-1], stages[-1], 1), nn.ReLU()))  # type: ignore[operator]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        return self.blocks(images)

    def pool(self, features: Tensor) -> Tensor:
        return features.mean((2, 3))


class OmniScaleBlock(nn.Module):
    """A residual bottleneck of streams with fields of different size, summed by the weights of one gate (figure 4)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        middle = out // 4
        self.enter = nn.Sequential(*_convolved(channels, middle, 1), nn.ReLU())
        self.streams = nn.ModuleList(
            nn.Sequential(*(_Light(middle) for _ in range(length))) for length in range(1, STREAMS + 1)
        )
        self.gate = _Gate(middle)
        self.leave = nn.Sequential(*_convolved(middle, out, 1))
        self.shortcut = nn.Sequential(*_convolved(channels, out, 1)) if channels != out else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        entered = self.enter(maps)
        mixed = torch.stack([self.gate(stream(entered)) for stream in self.streams]).sum(dim=0)
        return torch.relu(self.leave(mixed) + self.shortcut(maps))


class _Light(nn.Sequential):
    """A 3x3 convolution in two: across channels, then each channel by itself (figure 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )


class _Gate(nn.Module):
    """Each channel of maps times a weight 0..1 that the whole map decides; shared by all streams (equation 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // GATE)
        self.layers = nn.Sequential(nn.Conv2d(channels, narrow, 1), nn.ReLU(), nn.Conv2d(narrow, channels, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return maps * torch.sigmoid(self.layers(maps.mean((2, 3), keepdim=True)))


def _convolved(channels: int, out: int, size: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(channels, out, size, stride, size // 2, bias=False), nn.BatchNorm2d(out)


def _narrowed(channels: int) -> tuple[nn.Module, ...]:
    """Half the height and width."""
    return *_convolved(channels, channels, 1), nn.ReLU(), nn.AvgPool2d(2)
