"""A network at two resolutions: what HRDA adds to any network here that has maps and a head."""

from typing import Any

import torch
from torch import Tensor, nn

from adapters.backbones.pyramid_maps import resized
from adapters.backbones.seeds import seeded
from adapters.segment.base import Network, Segmenter
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Step

STRIDE = 4  # of the mixture
Window = tuple[int, int, int, int]  # top, left, height, width in pixels


def halved(images: Tensor) -> Tensor:
    """[B, 3, H / 2, W / 2]."""
    return resized(images, [side // 2 for side in images.shape[-2:]])


class TwoResolutions(Segmenter):
    """`network` looked through twice. In training the detail is one window, drawn at random; in predictions all four.

    Hoyer et al. 2022, HRDA, sections 3.2 and 3.3; the attention has the form of the network's own head.
    """

    def __init__(self, network: Segmenter, detail: float) -> None:
        super().__init__(network.params)
        self.network, self.detail = network, detail

    def build(self, context: LearnerContext) -> nn.Module:
        network = self.network.setup(context)
        if not isinstance(network, Network) or not self.network.any_size:
            raise UsageError(
                f"params.network: {self.network.id} on {context.backbone.spec} can't look at images of two sizes; "
                "segment/segformer-head on a backbone that takes any size can. Or set params.detail to 0."
            )
        with seeded(context.seed):
            attention = self.network.head(network.maps.channels, len(context.classes))
        return Mixture(network, attention)

    @property
    def any_size(self) -> bool:
        return True

    def look_at(self, pixels: Tensor) -> None:
        self.network.look_at(pixels)

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        window = some_window(batch.images)
        mixed, detail = self.module.looks(batch.images, window)
        of_mixed = self.network.mask_losses(mixed, batch.masks, weight=1 - self.detail)
        return of_mixed | self.network.mask_losses(detail, cut(batch.masks, window), "detail_", self.detail)

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        return self.network.param_groups(lr, weight_decay) + [
            {"params": list(self.module.attention.parameters()), "lr": lr, "weight_decay": weight_decay}
        ]

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes the network alone too, which has seen one resolution."""
        whole = any(name.startswith("attention.") for name in state)
        super().load_state(state) if whole else self.network.load_state(state)

    def train_mode(self, training: bool) -> None:
        self.module.train(training)
        self.network.train_mode(training)


class Mixture(nn.Module):
    """images [B, 3, H, W] -> logits [B, C, H / 4, W / 4]; H and W even."""

    def __init__(self, network: Network, attention: nn.Module) -> None:
        super().__init__()
        self.network, self.attention = network, attention

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            return self.looks(images, some_window(images))[0]
        height, width = (side // 2 for side in images.shape[-2:])
        corners = [(top, left) for top in (0, height) for left in (0, width)]
        parts = [self.network(cut(images, (*corner, height, width))) for corner in corners]
        detail = torch.cat([torch.cat(parts[:2], dim=3), torch.cat(parts[2:], dim=3)], dim=2)
        return self._mixed(images, detail, (0, 0, 2 * height, 2 * width))

    def looks(self, images: Tensor, window: Window) -> tuple[Tensor, Tensor]:
        """The mixture, and the logits of the detail in the window."""
        detail = self.network(cut(images, window))
        return self._mixed(images, detail, window), detail

    def _mixed(self, images: Tensor, detail: Tensor, window: Window) -> Tensor:
        size = [side // STRIDE for side in images.shape[-2:]]
        maps = self.network.maps(halved(images))
        context = resized(self.network.head(maps), size)
        attention = resized(self.attention(maps).sigmoid(), size)
        top, left, height, width = (length // STRIDE for length in window)
        there = (slice(None), slice(None), slice(top, top + height), slice(left, left + width))
        inside, outside = torch.zeros_like(context), torch.zeros_like(attention)
        inside[there] = resized(detail, (height, width))
        outside[there] = attention[there]
        return (1 - outside) * context + outside * inside


def some_window(images: Tensor) -> Window:
    """A window of half the sides of images [B, 3, H, W], at a multiple of 8 pixels."""
    sides = [side // 2 // 8 * 8 for side in images.shape[-2:]]
    top, left = (
        8 * int(torch.randint((whole - side) // 8 + 1, ()))
        for whole, side in zip(images.shape[-2:], sides, strict=True)
    )
    return top, left, sides[0], sides[1]


def cut(images: Tensor, window: Window) -> Tensor:
    """What a window shows of images [..., H, W]."""
    top, left, height, width = window
    return images[..., top : top + height, left : left + width]
