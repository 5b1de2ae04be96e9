"""TensorFlow's SAME padding written so that it is a constant for sides that are multiples of the stride, for export."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def padding_by_remainder() -> Iterator[None]:
    """Within, timm's SAME convolutions and poolings pad by what a side leaves over a stride: as much as otherwise.

    Of ceil(side / stride), which timm writes, torch.export makes an expression in terms of all layers before, which
    takes minutes; that a multiple of 32 leaves nothing it sees at once.
    """
    from timm.layers import padding  # late: it takes seconds, and nobody who exports nothing needs it

    written = padding.get_same_padding
    padding.get_same_padding = same_padding
    try:
        yield
    finally:
        padding.get_same_padding = written


def same_padding(side: int, kernel: int, stride: int, dilation: int) -> int:
    """Pixels in all, on both ends together, so that ceil(side / stride) places are left."""
    left_over = side % stride
    return max((kernel - 1) * dilation + 1 - (stride if left_over == 0 else left_over), 0)
