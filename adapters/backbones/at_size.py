"""A backbone at the image size that was asked for."""

import contextlib
from collections.abc import Callable

import torch
from torch import nn

from adapters.backbones.face import Backbone
from studio.core.errors import UsageError

Builder = Callable[[int | None], Backbone]  # image size (None: the network's own) -> backbone


def at_size(
    make: Builder, skeleton: Builder, patch_of: Callable[[nn.Module], int], image_size: int | None, spec: str
) -> Backbone:
    """`make(image_size)`, or UsageError with the nearest sizes that work.

    `skeleton` makes the same without weights (it is called under torch.device("meta")). `patch_of` tells the side
    of a module's patches: the size must be a multiple of it, since the libraries cut off the rest of an image
    without a word.
    """
    if image_size is None:
        return make(None)
    sized = _skeleton(skeleton, image_size)
    if sized is None:
        with torch.device("meta"):
            patch = patch_of(skeleton(None).module)
    else:
        patch = patch_of(sized.module)
    if image_size % patch:
        why = f"its patches are {patch} x {patch} pixels"
    elif sized is None:
        why = "its windows and strides don't fit"
    else:
        return make(image_size)
    below = (size for size in range(image_size - 1, patch - 1, -1) if size % patch == 0)
    above = (size for size in range(image_size + 1, 2 * image_size + patch) if size % patch == 0)
    near = [next((size for size in sizes if _skeleton(skeleton, size)), None) for sizes in (below, above)]
    found = " and ".join(str(size) for size in near if size)
    raise UsageError(
        f"model.image_size: {spec} can't take {image_size} x {image_size} pixels: {why}. "
        + (f"The nearest that work: {found}." if found else "Leave image_size out.")
    )


def _skeleton(skeleton: Builder, image_size: int) -> Backbone | None:
    """The network without weights, or None where the size does not fit it."""
    with contextlib.suppress(Exception), torch.device("meta"):  # whatever a library raises for such a size
        return skeleton(image_size)
    return None
