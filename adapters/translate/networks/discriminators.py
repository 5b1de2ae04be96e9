"""PatchGAN: whether each patch of an image is real. Isola et al. 2017, section 3.2.2."""

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from adapters.translate.networks.generators import normal_weights


class PatchDiscriminator(nn.Module):
    """images [B, channels, H, W] -> logits [B, 1, h, w], one a patch: of 70 x 70 pixels with three `layers`.

    `spectral` normalises the weights instead of the maps. Miyato et al. 2018, Spectral Normalization.
    """

    def __init__(self, channels: int = 3, width: int = 64, layers: int = 3, spectral: bool = False) -> None:
        super().__init__()
        widths = [width * min(8, 2**level) for level in range(layers + 1)]
        parts: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for level in range(1, layers + 1):
            stride = 2 if level < layers else 1
            parts.append(nn.Conv2d(widths[level - 1], widths[level], 4, stride, 1))
            parts += [] if spectral else [nn.InstanceNorm2d(widths[level])]
            parts.append(nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*parts, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        normal_weights(self)
        if spectral:
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    spectral_norm(layer)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)
