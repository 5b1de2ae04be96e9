"""Small networks that come untrained: LeNet, OSNet, and the few-shot ones Conv4 and ResNet-12."""

from typing import Any

from torch import Tensor, nn

from adapters.backbones import allowed
from adapters.backbones.at_size import at_size
from adapters.backbones.face import Backbone
from adapters.backbones.osnet import OSNet
from adapters.backbones.seeds import seeded
from studio.core.errors import UsageError, nearest
from studio.data.preprocess import Preprocess


class LeNet(nn.Module):
    """Two blocks of 5x5 convolution, 2x2 max pooling, batch norm and ReLU; features are the flattened map.

    LeCun et al. 1998, in the form that adaptation between digits uses (Liang et al. 2020, SHOT, appendix), with batch
    norm. Images [B, in_chans, S, S] -> 800 features at 28 pixels, of the default widths.
    """

    def __init__(self, in_chans: int = 3, widths: tuple[int, int] = (20, 50)) -> None:
        super().__init__()
        pairs = zip((in_chans, *widths), widths, strict=False)
        self.blocks = nn.Sequential(*(_LeNetBlock(a, b) for a, b in pairs))

    def forward(self, images: Tensor) -> Tensor:
        return self.blocks(images)

    def pool(self, features: Tensor) -> Tensor:
        return features.flatten(1)


class Conv4(nn.Module):
    """Four blocks of 3x3 convolution, batch norm, ReLU and 2x2 max pooling; features are the flattened map.

    Vinyals et al. 2016, Matching Networks, sec. 4.1; the 64-channel form of Snell et al. 2017. Images
    [B, in_chans, S, S] -> map [B, width, S // 16, S // 16]; 64 features at 28 pixels, 1,600 at 84.
    """

    def __init__(self, in_chans: int = 3, width: int = 64) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_ConvBlock(width if depth else in_chans, width) for depth in range(4)))

    def forward(self, images: Tensor) -> Tensor:
        return self.blocks(images)

    def pool(self, features: Tensor) -> Tensor:
        return features.flatten(1)


class ResNet12(nn.Module):
    """Four residual blocks of three 3x3 convolutions, widths 64, 160, 320, 640; features are the mean of the map.

    Oreshkin et al. 2018, TADAM, sec. 3; widths of Lee et al. 2019, MetaOptNet, sec. 4.1. Images [B, in_chans, S, S] ->
    map [B, 640, S // 16, S // 16] -> 640 features.
    """

    def __init__(self, in_chans: int = 3, widths: tuple[int, ...] = (64, 160, 320, 640)) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_ResidualBlock(a, b) for a, b in zip((in_chans, *widths), widths, strict=False)))

    def forward(self, images: Tensor) -> Tensor:
        return self.blocks(images)

    def pool(self, features: Tensor) -> Tensor:
        return features.mean((2, 3))


class Mlp(nn.Module):
    """Two hidden layers with ReLU on the image averaged to 14 x 14 pixels; no batch norm.

    Arjovsky et al. 2019, section 5.2, for ColoredMNIST. Images [B, in_chans, S, S] -> 256 features by default.
    """

    def __init__(self, in_chans: int = 3, width: int = 256) -> None:
        super().__init__()
        first = nn.Sequential(nn.AdaptiveAvgPool2d(14), nn.Flatten(), nn.Linear(in_chans * 14 * 14, width), nn.ReLU())
        self.blocks = nn.Sequential(
            first, nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Unflatten(1, (width, 1, 1)))
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.blocks(images)

    def pool(self, features: Tensor) -> Tensor:
        return features.flatten(1)


class _LeNetBlock(nn.Sequential):
    def __init__(self, in_chans: int, width: int) -> None:
        super().__init__(nn.Conv2d(in_chans, width, 5), nn.MaxPool2d(2), nn.BatchNorm2d(width), nn.ReLU())


class _ConvBlock(nn.Sequential):
    """ReLU after pooling: the same values, for a quarter of the work."""

    def __init__(self, in_chans: int, width: int) -> None:
        super().__init__(nn.Conv2d(in_chans, width, 3, padding=1), nn.BatchNorm2d(width), nn.MaxPool2d(2), nn.ReLU())


class _ResidualBlock(nn.Module):
    def __init__(self, in_chans: int, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *_conv3(in_chans, width), nn.LeakyReLU(0.1), *_conv3(width, width), nn.LeakyReLU(0.1), *_conv3(width, width)
        )
        self.shortcut = nn.Sequential(nn.Conv2d(in_chans, width, 1, bias=False), nn.BatchNorm2d(width))
        self.activation = nn.LeakyReLU(0.1)
        self.pooling = nn.MaxPool2d(2)

    def forward(self, features: Tensor) -> Tensor:
        return self.pooling(self.activation(self.convolutions(features) + self.shortcut(features)))


class ConvBackbone(Backbone):
    """One of the networks above."""

    def _embed(self, images: Tensor) -> Tensor:
        return self.module.pool(self.module(images))

    def _features(self, images: Tensor) -> Tensor:
        return self.module(images)

    def layers(self) -> list[nn.Module]:
        return list(self.module.blocks)


# the network, and the image size that its papers use most
NETWORKS: dict[str, tuple[type[nn.Module], int]] = {
    "lenet": (LeNet, 28),
    "mlp": (Mlp, 28),
    "conv4": (Conv4, 28),
    "resnet12": (ResNet12, 84),
    "osnet": (OSNet, 256),
}


def build(
    architecture: dict[str, Any], image_size: int | None = None, weights: None = None, spec: str = "", seed: int = 0
) -> Backbone:
    """A ConvBackbone of {name, arguments (in_chans, and width or widths)}."""
    architecture = allowed.architecture(architecture)
    name, arguments = architecture["name"], architecture["arguments"]
    if name not in NETWORKS:
        raise UsageError(f"model.backbone: there is no studio/{name}.{nearest(name, NETWORKS)}")
    network, own = NETWORKS[name]

    def make(size: int | None) -> Backbone:
        try:
            with seeded(seed):
                module = network(**arguments)
                _start(module)
        except TypeError as error:
            raise UsageError(f"model.backbone: {spec}: {error}.") from error
        half = (0.5, 0.5, 0.5)
        preprocess = Preprocess(size or own, 1.0, "bilinear", half, half, squash=True)
        return ConvBackbone(module, preprocess, architecture, arguments.get("in_chans", 3))

    return at_size(make, make, lambda module: 1, image_size, spec)


def _conv3(in_chans: int, width: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(in_chans, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)


def _start(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
