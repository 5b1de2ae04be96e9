"""Side information: a transformer is told which camera took the image, and learns to see past that."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from studio.core.errors import UsageError


class Sighted(nn.Module):
    """A network on a backbone that may be told the cameras of its images. `aids` holds what only training needs."""

    def __init__(self, backbone: Any, cameras: int = 0) -> None:
        super().__init__()
        self.backbone = backbone
        self.side = SideInformation(backbone, cameras) if cameras else None
        self.aids = nn.ModuleDict()

    def told(self, cameras: Tensor | None, images: Tensor) -> AbstractContextManager[None]:
        """Within, the backbone's `images` [B, ...] are of `cameras` [B], -1 or None where they are not known."""
        return nullcontext() if self.side is None else self.side.told(cameras, len(images))


class SideInformation(nn.Module):
    """A learned vector for each camera, added to every token before the first block.

    He et al. 2021, TransReID, section 3.3, equation 5; an image of an unknown camera gets the mean of all.
    """

    def __init__(self, backbone: Any, cameras: int, strength: float = 3.0) -> None:
        super().__init__()
        if backbone.kind != "vit":
            raise UsageError(
                f"params.side_information: {backbone.spec} has no tokens that a camera could be told to. Take a vision "
                "transformer, such as timm/vit_small_patch16_224, or leave it out."
            )
        self.strength, self._cameras = strength, None
        self.vectors = nn.Parameter(torch.empty(cameras, _width(backbone)))
        nn.init.trunc_normal_(self.vectors, std=0.02)
        backbone.layers()[0].register_forward_pre_hook(self._add, with_kwargs=True)

    @contextmanager
    def told(self, cameras: Tensor | None, count: int) -> Iterator[None]:
        """Within, images are of `cameras` [B], -1 where one is not known; None: all unknown."""
        given = torch.full((count,), -1, device=self.vectors.device) if cameras is None else cameras
        known = self.vectors[given.clamp(min=0)]
        self._cameras = torch.where((given >= 0)[:, None], known, self.vectors.mean(dim=0))
        try:
            yield
        finally:
            self._cameras = None

    def _add(self, block: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if self._cameras is None:
            return given, named
        tokens = given[0] if given else named["hidden_states"]
        vectors = self._cameras.to(tokens.dtype).view(len(tokens), *([1] * (tokens.ndim - 2)), -1)
        tokens = tokens + self.strength * vectors
        return ((tokens, *given[1:]), named) if given else (given, {**named, "hidden_states": tokens})


def _width(backbone: Any) -> int:
    """Of the tokens that enter the first block."""
    seen: list[int] = []

    def look(block: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append((given[0] if given else named["hidden_states"]).shape[-1])

    handle = backbone.layers()[0].register_forward_pre_hook(look, with_kwargs=True)
    try:
        side = backbone.image_size
        with torch.inference_mode():
            backbone.embed(torch.zeros(1, 3, side, side, device=next(backbone.parameters()).device))
    finally:
        handle.remove()
    return seen[0]
