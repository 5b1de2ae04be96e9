"""Images and their boxes changed together: flips, crops, zooming out, colour."""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

KEPT = 0.3  # share of a box that a crop must leave for the box to be kept


def scaled(xyxy: np.ndarray, size: tuple[int, int], side: int) -> np.ndarray:
    """Boxes of an image of `size` (width, height) when it is squashed to a square of `side` pixels."""
    factors = np.array([side / size[0], side / size[1]] * 2, np.float32)
    return np.asarray(xyxy, np.float32) * factors


def augment(
    pixels: Tensor, boxes: Tensor, labels: Tensor, side: int, draw: torch.Generator, smallest: float, mirror: bool,
    colour: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """One image uint8 [3, S, S] -> uint8 [3, side, side], with its boxes [N, 4] and labels [N] where they end up.

    Half the time a crop of `smallest`..1 of the area, aspect 3/4..4/3; half of the images are mirrored; brightness,
    contrast and saturation within 20 %. All from `draw`. Boxes of which less than 30 % is left are dropped.
    """
    full = pixels.shape[-1]
    top, left, height, width = _window(full, smallest, draw)
    pixels = functional.resized_crop(pixels, top, left, height, width, [side, side], antialias=True)
    shift = torch.tensor([left, top, left, top], dtype=torch.float32)
    factor = torch.tensor([side / width, side / height] * 2, dtype=torch.float32)
    boxes, labels = inside((boxes - shift) * factor, labels, float(side))
    if mirror and torch.rand((), generator=draw) < 0.5:
        pixels = pixels.flip(-1)
        boxes = torch.stack([side - boxes[:, 2], boxes[:, 1], side - boxes[:, 0], boxes[:, 3]], dim=1)
    if colour:
        pixels = _coloured(pixels, 0.2, draw)
    return pixels, boxes, labels


def disturb(pixels: Tensor, draw: torch.Generator) -> Tensor:
    """An image uint8 [3, S, S] whose things stay where they are: colours, sharpness, and a part hidden.

    Colours within 40 % four times of five, grey one time of five, blurred half the time, and half the time a
    rectangle of 2..10 % of the area is grey. Liu et al. 2021, Unbiased Teacher, table 6, with a smaller rectangle.
    """
    side = pixels.shape[-1]
    chance = torch.rand(4, generator=draw).tolist()
    if chance[0] < 0.8:
        pixels = _coloured(pixels, 0.4, draw)
    if chance[1] < 0.2:
        pixels = functional.rgb_to_grayscale(pixels, num_output_channels=3)
    if chance[2] < 0.5:
        sigma = 0.1 + 1.9 * float(torch.rand((), generator=draw))
        pixels = functional.gaussian_blur(pixels, [7, 7], [sigma, sigma])
    if chance[3] < 0.5:
        area, down, right = torch.rand(3, generator=draw).tolist()
        length = max(1, round(side * (0.02 + 0.08 * area) ** 0.5))
        top, left = int(down * (side - length + 1)), int(right * (side - length + 1))
        pixels = pixels.clone()
        pixels[:, top : top + length, left : left + length] = 127
    return pixels


def _coloured(pixels: Tensor, most: float, draw: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation changed by up to `most` of themselves."""
    for change in (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation):
        pixels = change(pixels, 1 - most + 2 * most * float(torch.rand((), generator=draw)))
    return pixels


def resized(image: tuple[Tensor, Tensor, Tensor], side: int) -> tuple[Tensor, Tensor, Tensor]:
    """An image uint8 [3, S, S] with its boxes and labels, brought to `side` pixels."""
    pixels, boxes, labels = image
    full = pixels.shape[-1]
    if full == side:
        return image
    return functional.resize(pixels, [side, side], antialias=True), boxes * (side / full), labels


def pad(boxes: list[Tensor], labels: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Boxes [B, M, 4] and labels [B, M] of images with different numbers of them; labels are -1 where padded."""
    most = max(1, *(len(one) for one in labels))
    corners = torch.zeros(len(boxes), most, 4)
    classes = torch.full((len(boxes), most), -1, dtype=torch.int64)
    for row, (one, label) in enumerate(zip(boxes, labels, strict=True)):
        corners[row, : len(one)] = one
        classes[row, : len(label)] = label
    return corners, classes


def _window(full: int, smallest: float, draw: torch.Generator) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a crop, the whole image half the time."""
    whole, share, shape, down, right = torch.rand(5, generator=draw).tolist()
    if whole < 0.5:
        return 0, 0, full, full
    area, aspect = full * full * (smallest + (1 - smallest) * share), (3 / 4) ** (1 - 2 * shape)
    height = min(full, max(8, round((area / aspect) ** 0.5)))
    width = min(full, max(8, round((area * aspect) ** 0.5)))
    return int(down * (full - height + 1)), int(right * (full - width + 1)), height, width


def inside(boxes: Tensor, labels: Tensor, side: float) -> tuple[Tensor, Tensor]:
    """Boxes cut at the edges of a square, without those that lost most of themselves."""
    cut = boxes.clamp(0, side)
    areas = ((corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1]) for corners in (cut, boxes))
    left, whole = areas
    enough = (left >= KEPT * whole) & ((cut[:, 2:] - cut[:, :2]) > 1).all(dim=1)
    return cut[enough], labels[enough]
