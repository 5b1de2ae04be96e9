"""Changes that a gradient goes through, for what a discriminator sees. Zhao et al. 2020, DiffAugment, section 3.3."""

import torch
from torch import Tensor
from torch.nn.functional import pad

SHIFT = 1 / 8  # of a side, at most
CUTOUT = 1 / 2  # of a side


def diff_augment(images: Tensor, policy: str) -> Tensor:
    """Images [B, C, H, W] changed, each by its own draw; channels beyond three are changed with the first three.

    `policy` joins color, translation and cutout by +, or is none.
    """
    for name in policy.split("+"):
        images = CHANGES[name](images)
    return images


def color(images: Tensor) -> Tensor:
    """Brightness by up to 0.5, saturation by 0..2, contrast by 0.5..1.5. Of each image in threes of channels."""
    draws = torch.rand(3, len(images), 1, 1, 1, 1, device=images.device, dtype=images.dtype)
    looks = images.unflatten(1, (-1, 3))  # [B, looks, 3, H, W]
    looks = looks + draws[0] - 0.5
    grey = looks.mean(dim=2, keepdim=True)
    looks = (looks - grey) * (2 * draws[1]) + grey
    mean = looks.mean(dim=(2, 3, 4), keepdim=True)
    return ((looks - mean) * (draws[2] + 0.5) + mean).flatten(1, 2)


def translation(images: Tensor) -> Tensor:
    """Shifted by up to an eighth of a side; what comes in is zero."""
    height, width = images.shape[-2:]
    down, right = int(height * SHIFT + 0.5), int(width * SHIFT + 0.5)
    padded = pad(images, (right, right, down, down))
    top = torch.randint(0, 2 * down + 1, (len(images),))
    left = torch.randint(0, 2 * right + 1, (len(images),))
    return torch.stack([
        image[:, y : y + height, x : x + width]
        for image, y, x in zip(padded, top.tolist(), left.tolist(), strict=True)
    ])  # fmt: skip


def cutout(images: Tensor) -> Tensor:
    """A square of half a side is zero, somewhere."""
    height, width = images.shape[-2:]
    tall, wide = int(height * CUTOUT + 0.5), int(width * CUTOUT + 0.5)
    mask = torch.ones(len(images), 1, height, width, device=images.device, dtype=images.dtype)
    top = torch.randint(-tall // 2, height - tall // 2, (len(images),))
    left = torch.randint(-wide // 2, width - wide // 2, (len(images),))
    for row, (y, x) in enumerate(zip(top.tolist(), left.tolist(), strict=True)):
        mask[row, :, max(0, y) : y + tall, max(0, x) : x + wide] = 0
    return images * mask


CHANGES = {"none": lambda images: images, "color": color, "translation": translation, "cutout": cutout}
