"""An image and its class map changed together: crops, mirroring; and the colours of the image alone.

Both are tensors that know what they are (torchvision's tv_tensors), so that one call moves them alike: the image by
bilinear interpolation, the map by its nearest pixels. All that is random comes from a generator.
"""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional
from torchvision.tv_tensors import Image, Mask

TRIES = 10  # crops that are looked at for a class
ENOUGH = 0.01  # share of a crop that is enough of it

Window = tuple[int, int, int]  # top, left, side


def window(size: tuple[int, int], side: int, zoom: float, draw: torch.Generator) -> Window:
    """A square window somewhere in an image of `size` (height, width), to be brought to `side` pixels.

    It is smaller by up to `zoom` (then its content is enlarged) or larger by up to that, as far as it fits; evenly on a
    logarithmic scale.
    """
    largest = min(min(size), side * zoom)
    smallest = min(side / zoom, largest)
    share, down, right = torch.rand(3, generator=draw).tolist()
    length = max(1, min(int(round(smallest * (largest / smallest) ** share)), min(size)))
    return int(down * (size[0] - length + 1)), int(right * (size[1] - length + 1)), length


def window_of_class(mask: Tensor, label: int, side: int, zoom: float, draw: torch.Generator) -> Window:
    """The first of ten windows of which 1 % is of class `label`, else the one that has most of it.

    Hoyer et al. 2022, DAFormer, section 3.2 and its code, which asks for a number of pixels.
    """
    best, most = None, -1.0
    for _ in range(TRIES):
        chosen = window(tuple(mask.shape[-2:]), side, zoom, draw)
        top, left, length = chosen
        share = float((mask[top : top + length, left : left + length] == label).float().mean())
        if share > most:
            best, most = chosen, share
        if share >= ENOUGH:
            break
    assert best is not None
    return best


def cropped(image: Image, mask: Mask, chosen: Window, side: int) -> tuple[Tensor, Tensor]:
    """Both inside a window, at `side` pixels."""
    top, left, length = chosen
    where = (top, left, length, length, [side, side])
    return functional.resized_crop(image, *where, antialias=True), functional.resized_crop(mask, *where)


def mirrored(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    return functional.horizontal_flip(image), functional.horizontal_flip(mask)


def distort(image: Tensor, draw: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation and hue changed, each half the time: image uint8 [3, S, S].

    By 12.5 %, 50 %, 50 % and 5 % of a turn at most, as Liu et al. 2016, SSD, section 2.2 has it after Howard 2013.
    """
    chance, amount = torch.rand(4, generator=draw).tolist(), (2 * torch.rand(4, generator=draw) - 1).tolist()
    if chance[0] < 0.5:
        image = functional.adjust_brightness(image, 1 + 0.125 * amount[0])
    if chance[1] < 0.5:
        image = functional.adjust_contrast(image, 1 + 0.5 * amount[1])
    if chance[2] < 0.5:
        image = functional.adjust_saturation(image, 1 + 0.5 * amount[2])
    if chance[3] < 0.5:
        image = functional.adjust_hue(image, 0.05 * amount[3])
    return image
