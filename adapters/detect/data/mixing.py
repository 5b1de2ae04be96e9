"""Images made of several, boxes along with the pixels: mosaics, and things pasted from one image into another."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from adapters.detect.data.transforms import inside

HIDDEN = 0.7  # share of a thing that may be covered before it is no longer there

BoxedImage = tuple[Tensor, Tensor, Tensor]  # pixels uint8 [3, S, S], boxes xyxy [N, 4], labels [N]


def mosaic(four: Sequence[BoxedImage], draw: torch.Generator) -> BoxedImage:
    """Four images of S pixels laid in a square of 2 S, of which a random window of S..2 S is brought back to S.

    Every window has the middle in it, so parts of all four are seen. Boxes are cut at its edges; those of which less
    than 30 % is left are dropped. Bochkovskiy et al. 2020, YOLOv4, section 3.3.
    """
    side = four[0][0].shape[-1]
    rows = [torch.cat([four[place][0], four[place + 1][0]], dim=2) for place in (0, 2)]
    whole = torch.cat(rows, dim=1)
    shifts = [(0, 0), (side, 0), (0, side), (side, side)]
    boxes = torch.cat([image[1] + torch.tensor([x, y, x, y]) for image, (x, y) in zip(four, shifts, strict=True)])
    labels = torch.cat([image[2] for image in four])
    share, down, right = torch.rand(3, generator=draw).tolist()
    length = round(side * (1 + share))
    top, left = (int(place * (2 * side - length + 1)) for place in (down, right))
    pixels = functional.resized_crop(whole, top, left, length, length, [side, side], antialias=True)
    moved = (boxes - torch.tensor([left, top, left, top])) * (side / length)
    return pixels, *inside(moved, labels, float(side))


def paste(image: BoxedImage, other: BoxedImage, masks: Tensor | None, draw: torch.Generator) -> BoxedImage:
    """A random half of the things of another image laid over this one, each moved to a place of its own.

    `masks` bool [M, S, S] say which pixels are the other's things; where None, whole boxes are pasted. Things that
    end up hidden by more than 70 % are dropped, be they of this image or pasted before. Ghiasi et al. 2021, Simple
    Copy-Paste, section 3, without its changes of scale.
    """
    pixels, boxes, labels = image[0].clone(), image[1].clone(), image[2].clone()
    side = pixels.shape[-1]
    seen = torch.ones(len(boxes), dtype=torch.float32)  # share that is still to be seen of each thing
    for number in (torch.rand(len(other[1]), generator=draw) < 0.5).nonzero().flatten().tolist():
        x1, y1, x2, y2 = _whole_pixels(other[1][number], side)
        width, height = x2 - x1, y2 - y1
        if min(width, height) < 2:
            continue
        down, right = torch.rand(2, generator=draw).tolist()
        top, left = int(down * (side - height + 1)), int(right * (side - width + 1))
        ink = torch.ones(height, width, dtype=torch.bool) if masks is None else masks[number, y1:y2, x1:x2]
        if not ink.any():
            continue
        place = (slice(None), slice(top, top + height), slice(left, left + width))
        pixels[place] = torch.where(ink, other[0][:, y1:y2, x1:x2], pixels[place])
        seen = seen - _covered(boxes, ink, left, top)
        boxes = torch.cat([boxes, torch.tensor([[left, top, left + width, top + height]], dtype=boxes.dtype)])
        labels, seen = torch.cat([labels, other[2][number : number + 1]]), torch.cat([seen, torch.ones(1)])
    kept = seen > 1 - HIDDEN
    return pixels, boxes[kept], labels[kept]


def _whole_pixels(box: Tensor, side: int) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = box.tolist()
    return max(0, int(x1)), max(0, int(y1)), min(side, -int(-x2 // 1)), min(side, -int(-y2 // 1))


def _covered(boxes: Tensor, ink: Tensor, left: int, top: int) -> Tensor:
    """Share [N] of each box that `ink` [h, w], laid at (left, top), covers."""
    out = torch.zeros(len(boxes))
    for row, (x1, y1, x2, y2) in enumerate(boxes.round().long().tolist()):
        over = ink[max(0, y1 - top) : max(0, y2 - top), max(0, x1 - left) : max(0, x2 - left)]
        out[row] = float(over.sum()) / max(1, (x2 - x1) * (y2 - y1))
    return out
