"""Augmentation policies on whole batches: TrivialAugment, RandAugment, random erasing, mixup, CutMix.

Everything random comes from the generator that is passed in, so the same state gives the same batch. The
pixel operations are torchvision's; images that draw the same one in a batch share its strength, so that it
runs once on all of them.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Operation = Callable[[Tensor, float, float], Tensor]  # uint8 [N, 3, H, W], strength 0..1, sign -> uint8


def trivial_augment(images: Tensor, draw: torch.Generator) -> Tensor:
    """One random operation an image, at a random strength over a wide range. Müller and Hutter 2021, algorithm 1."""
    return _apply(images, _operations(wide=True), torch.rand(len(images), generator=draw), draw, strength=None)


def rand_augment(images: Tensor, draw: torch.Generator, count: int = 2, strength: float = 0.3) -> Tensor:
    """`count` random operations an image at one strength, 0..1. Cubuk et al. 2020, section 3."""
    for _ in range(count):
        chosen = torch.rand(len(images), generator=draw)
        images = _apply(images, _operations(wide=False), chosen, draw, strength)
    return images


def erase(images: Tensor, probability: float, draw: torch.Generator) -> Tensor:
    """A rectangle of 2 to 33 % of the area, aspect 0.3 to 3.3, set to zero. Zhong et al. 2020, algorithm 1.

    images: normalised float [B, 3, H, W]; zero is the mean colour.
    """
    height, width = images.shape[-2:]
    hit, area, aspect, top, left = (torch.rand(len(images), generator=draw).tolist() for _ in range(5))
    images = images.clone()
    for row in range(len(images)):
        if hit[row] >= probability:
            continue
        share, ratio = 0.02 + 0.31 * area[row], 0.3 * (3.3 / 0.3) ** aspect[row]
        tall = min(height, max(1, round(height * (share * ratio) ** 0.5)))
        wide = min(width, max(1, round(width * (share / ratio) ** 0.5)))
        y, x = round(top[row] * (height - tall)), round(left[row] * (width - wide))
        images[row, :, y : y + tall, x : x + wide] = 0
    return images


def mix(
    images: Tensor, labels: Tensor, classes: int, mixup: float, cutmix: float, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Images mixed with those of the batch in reverse order, and soft labels [B, C] by their shares.

    `mixup` and `cutmix` are the alphas of their Beta distributions, 0 is off; where both are on, a batch takes one
    of them. Zhang et al. 2018, eq. 1; Yun et al. 2019, eq. 1-2.
    """
    cut = cutmix > 0 and (mixup == 0 or float(torch.rand(1, generator=draw)) < 0.5)
    share = _beta(cutmix if cut else mixup, draw)
    other = images.flip(0)
    if cut:
        height, width = images.shape[-2:]
        tall, wide = (round(side * (1 - share) ** 0.5) for side in (height, width))
        y, x = (
            int(torch.randint(side - size + 1, (1,), generator=draw)) for side, size in ((height, tall), (width, wide))
        )
        images = images.clone()
        images[:, :, y : y + tall, x : x + wide] = other[:, :, y : y + tall, x : x + wide]
        share = 1 - tall * wide / (height * width)
    else:
        images = images * share + other * (1 - share)
    hard = functional.one_hot(labels, classes).float()
    return images, hard * share + hard.flip(0) * (1 - share)


def _beta(alpha: float, draw: torch.Generator) -> float:
    """One number of Beta(alpha, alpha)."""
    import numpy as np

    return float(np.random.default_rng(int(torch.randint(2**62, (1,), generator=draw))).beta(alpha, alpha))


def _apply(
    images: Tensor, operations: list[Operation], chosen: Tensor, draw: torch.Generator, strength: float | None
) -> Tensor:
    """Each image through operation `floor(chosen * len)`, `chosen` [B] in 0..1."""
    operation_of = (chosen * len(operations)).long()
    strengths, signs = torch.rand(2, len(operations), generator=draw).tolist()
    result = images.clone()
    for index in operation_of.unique().tolist():
        rows = operation_of == index
        amount = strengths[index] if strength is None else strength
        result[rows] = operations[index](images[rows], amount, 1.0 if signs[index] < 0.5 else -1.0)
    return result


def _operations(wide: bool) -> list[Operation]:
    """The fourteen operations; ranges of TrivialAugment's wide space, or of RandAugment."""
    from torchvision.transforms.v2 import functional as v2

    shear, turn, tone, bits = (45.0, 135.0, 0.99, 6) if wide else (17.0, 30.0, 0.9, 4)

    def moved(images: Tensor, x: float = 0.0, y: float = 0.0, shear_x: float = 0.0, shear_y: float = 0.0) -> Tensor:
        side = images.shape[-1]
        reach = 32 / 224 if wide else 0.45
        shift = [round(x * reach * side), round(y * reach * side)]
        return v2.affine(images, angle=0.0, translate=shift, scale=1.0, shear=[shear * shear_x, shear * shear_y])

    return [
        lambda images, m, sign: images,
        lambda images, m, sign: moved(images, shear_x=m * sign),
        lambda images, m, sign: moved(images, shear_y=m * sign),
        lambda images, m, sign: moved(images, x=m * sign),
        lambda images, m, sign: moved(images, y=m * sign),
        lambda images, m, sign: v2.rotate(images, turn * m * sign),
        lambda images, m, sign: v2.adjust_brightness(images, 1 + tone * m * sign),
        lambda images, m, sign: v2.adjust_saturation(images, 1 + tone * m * sign),
        lambda images, m, sign: v2.adjust_contrast(images, 1 + tone * m * sign),
        lambda images, m, sign: v2.adjust_sharpness(images, 1 + tone * m * sign),
        lambda images, m, sign: v2.posterize(images, 8 - round(bits * m)),
        lambda images, m, sign: v2.solarize(images, 255 * (1 - m)),
        lambda images, m, sign: v2.autocontrast(images),
        lambda images, m, sign: v2.equalize(images),
    ]
