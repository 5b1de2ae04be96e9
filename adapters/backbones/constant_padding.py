"""TensorFlow's SAME convolutions with the padding of one size of image, for export at any size."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from timm.layers import Conv2dSame
from timm.layers.padding import get_same_padding
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad


@contextmanager
def constant_padding(module: nn.Module, images: Tensor) -> Iterator[None]:
    """Within, SAME convolutions pad as they do for these images.

    Sides in multiples of all strides have the same padding everywhere. As an expression of the side, of which
    torch.export makes one for each layer in terms of all before it, it takes minutes.
    """
    convs = [part for part in module.modules() if isinstance(part, Conv2dSame)]
    hooks = [conv.register_forward_pre_hook(_settle) for conv in convs]
    with torch.no_grad():
        module(images)
    for hook in hooks:
        hook.remove()
    try:
        yield
    finally:
        for conv in convs:
            conv.__dict__.pop("forward", None)


def _settle(conv: Conv2dSame, inputs: tuple[Tensor, ...]) -> None:
    sides = zip(inputs[0].shape[-2:], conv.kernel_size, conv.stride, conv.dilation, strict=True)
    tall, wide = (get_same_padding(*side) for side in sides)
    conv.forward = partial(_padded, conv, [wide // 2, wide - wide // 2, tall // 2, tall - tall // 2])


def _padded(conv: nn.Conv2d, around: list[int], images: Tensor) -> Any:
    return conv2d(pad(images, around), conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups)
