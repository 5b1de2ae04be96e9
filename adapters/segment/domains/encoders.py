"""The part of a network that makes maps of images, whatever the network: what methods that watch features look at."""

from typing import Any

from torch import Tensor, nn

from adapters.segment.base import Segmenter
from studio.core.errors import UsageError


def encoder_of(network: Segmenter, switch: str) -> nn.Module:
    """Raises UsageError where the network has no encoder of its own; `switch` is the parameter that asks for one."""
    module = network.module
    for part in (getattr(module, "maps", None), getattr(getattr(module, "model", None), "segformer", None)):
        if part is not None:
            return part
    raise UsageError(
        f"params.{switch}: {network.id} has no encoder of its own whose features can be watched; set it to 0, or take "
        "a network such as segment/segformer-head."
    )


def last_map(maps: Any) -> Tensor:
    """The coarsest map [B, D, h, w] of what an encoder puts out: a list of maps, or the output of transformers."""
    return maps[-1] if isinstance(maps, list) else maps.last_hidden_state
