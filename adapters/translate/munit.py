"""MUNIT: an image is a content and a style; the other look's decoder draws the content in any style of its own."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from adapters.translate.base import Losses, TranslatorParams, TwoWays
from adapters.translate.networks.generators import ResidualBlock, conv_block, normal_weights
from adapters.translate.style.losses import renormalized
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches


class MunitParams(TranslatorParams):
    codes: int = Field(8, ge=1, le=256, description="numbers that say a style")
    blocks: int = Field(4, ge=1, le=16, description="residual blocks of the content's encoder, and of the decoder")
    own: float = Field(10.0, ge=0, le=1000, description="weight of drawing an image from its own content and style")
    content: float = Field(1.0, ge=0, le=1000, description="weight of finding the content again in what was made")
    style: float = Field(1.0, ge=0, le=1000, description="weight of finding the style again in what was made")


@register("translate/munit")
class Munit(TwoWays):
    """Drawn from its own content and style, an image is to be itself (eq. 1); of one drawn from a content and a style
    s from N(0, I), both are to be found again (eq. 2 and 3), and the other look's discriminator is to take it for real
    (eq. 4). Weighed 10, 1, 1 and 1 (eq. 5).

    Discriminators judge at one scale. Used as it is, it draws with the style 0, in the middle of all; an image of the
    wanted look gives its style instead.
    """

    title = "MUNIT"
    paper = "Huang et al. 2018, Multimodal Unsupervised Image-to-Image Translation, ECCV"
    Params = MunitParams
    takes_style = True

    def make_generator(self, image_size: int) -> nn.Module:
        return CodedGenerator(self.params.width, self.params.blocks, self.params.codes)

    def generate(self, batch: StreamBatches, at: Step) -> Losses:
        net, params, losses = self.module, self.params, dict[str, Tensor]()
        for ending, part, there, back in (
            ("", batch.source, net["generator"], net["generator_back"]),
            ("_back", batch.target, net["generator_back"], net["generator"]),
        ):
            images, content = part.images, there.content(part.images)
            again = back.draw(content, back.style(images))
            codes = self.drawn_codes(images)
            made = self.made.keep(f"generator{ending}", images, there.draw(content, codes), at)
            losses |= {
                f"fool{ending}": self.fool(net[f"discriminator{ending}"], made, part),
                f"own{ending}": params.own * part.mean((again - images).abs()),
                f"content{ending}": params.content * part.mean((back.content(made) - content).abs()),
                f"style{ending}": params.style * part.mean((there.style(made) - codes).abs()),
            }
        return losses

    def discriminate(self, batch: StreamBatches, at: Step) -> Losses:
        net = self.module
        made, made_back = (
            self.made.take(name, part.images, at, lambda seen, name=name: net[name](seen, self.drawn_codes(seen)))
            for name, part in (("generator", batch.source), ("generator_back", batch.target))
        )
        return self.told_apart(batch, made, made_back)

    def drawn_codes(self, images: Tensor) -> Tensor:
        """A style for each image, [B, codes] from N(0, I)."""
        return torch.randn(len(images), self.params.codes, device=images.device)


class CodedGenerator(nn.Module):
    """Images of one look [B, 3, H, W] in -1..1 -> the other look, in the style of codes [B, codes].

    Encoder of one look's content, encoder of the other look's style, decoder of the other look. Section 5.1.
    """

    stride = 4

    def __init__(self, width: int, blocks: int, codes: int) -> None:
        super().__init__()
        wide, self.codes = 4 * width, codes
        down = [conv_block(3, width, 7), conv_block(width, 2 * width, 3, 2), conv_block(2 * width, wide, 3, 2)]
        self.content = nn.Sequential(*down, *(ResidualBlock(wide) for _ in range(blocks)))
        self.style = nn.Sequential(  # no normalisation, which would take the style away
            *(_plain(*sides) for sides in ((3, width, 7, 1), (width, 2 * width, 3, 2), (2 * width, wide, 3, 2))),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, codes),
        )  # fmt: skip
        self.blocks = nn.ModuleList(nn.ModuleList(_convolution(wide) for _ in range(2)) for _ in range(blocks))
        self.statistics = nn.Sequential(
            nn.Linear(codes, wide), nn.ReLU(), nn.Linear(wide, wide), nn.ReLU(), nn.Linear(wide, 4 * blocks * wide)
        )
        self.up = nn.ModuleList(_convolution(wide // 2**level, wide // 2 ** (level + 1), 5) for level in range(2))
        self.norms = nn.ModuleList(nn.GroupNorm(1, wide // 2 ** (level + 1)) for level in range(2))
        self.last = nn.Sequential(_convolution(width, 3, 7), nn.Tanh())
        normal_weights(self)

    def forward(self, images: Tensor, codes: Tensor | None = None) -> Tensor:
        codes = images.new_zeros(len(images), self.codes) if codes is None else codes
        return self.draw(self.content(images), codes)

    def draw(self, content: Tensor, codes: Tensor) -> Tensor:
        """Content [B, C, h, w] in the style of codes [B, codes], as images [B, 3, 4 h, 4 w]."""
        numbers = self.statistics(codes).view(len(codes), len(self.blocks), 2, 2, -1, 1, 1)
        for block, of_block in zip(self.blocks, numbers.unbind(1), strict=True):
            maps = content
            for place, (layer, (mean, more)) in enumerate(
                zip(block, (pair.unbind(1) for pair in of_block.unbind(1)), strict=True)
            ):
                maps = renormalized(layer(maps), mean, 1 + more)  # AdaIN, which begins as instance normalisation
                maps = maps.relu() if place == 0 else maps
            content = content + maps
        for layer, norm in zip(self.up, self.norms, strict=True):
            content = norm(layer(interpolate(content, scale_factor=2.0, mode="nearest"))).relu()
        return self.last(content)


def _convolution(inside: int, outside: int | None = None, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inside, outside or inside, kernel, stride, kernel // 2, padding_mode="reflect")


def _plain(inside: int, outside: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_convolution(inside, outside, kernel, stride), nn.ReLU())
