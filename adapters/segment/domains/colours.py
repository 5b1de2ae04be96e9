"""The colours of normalised images: as they are on a screen and back, and changed much for a student to see."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from studio.data.preprocess import Preprocess

MOST = 0.4  # of brightness, contrast and saturation
TURN = 0.1  # of the hue, in turns
OFTEN, BLURRED = 0.8, 0.5  # how often colours change, and how often an image is blurred
BLUR = (0.15, 1.15)  # pixels of the blur's standard deviation


class Colours:
    """Of images [B, 3, H, W] normalised by the mean and standard deviation of `preprocess`."""

    def __init__(self, preprocess: Preprocess) -> None:
        self.mean = torch.tensor(preprocess.mean).view(3, 1, 1)
        self.std = torch.tensor(preprocess.std).view(3, 1, 1)

    def shown(self, images: Tensor) -> Tensor:
        """In 0..1."""
        return images * self.std.to(images) + self.mean.to(images)

    def normalized(self, images: Tensor) -> Tensor:
        """The inverse of `shown`; what left 0..1 is cut off."""
        return (images.clamp(0, 1) - self.mean.to(images)) / self.std.to(images)

    def disturbed(self, images: Tensor) -> Tensor:
        """Each with other brightness, contrast, saturation and hue, four times of five, and blurred half the time.

        Everything stays where it is. Tranheden et al. 2021, DACS, section 4.1, in strength between it and DAFormer.
        """
        return self.normalized(torch.stack([_disturbed(image) for image in self.shown(images)]))


def _disturbed(image: Tensor) -> Tensor:
    """An image [3, H, W] in 0..1."""
    chance, amount = torch.rand(2).tolist(), (2 * torch.rand(4) - 1).tolist()
    image = image.clamp(0, 1)
    if chance[0] < OFTEN:
        image = functional.adjust_brightness(image, 1 + MOST * amount[0])
        image = functional.adjust_contrast(image, 1 + MOST * amount[1])
        image = functional.adjust_saturation(image, 1 + MOST * amount[2])
        image = functional.adjust_hue(image, TURN * amount[3])
    if chance[1] < BLURRED:
        deviation = BLUR[0] + (BLUR[1] - BLUR[0]) * float(torch.rand(()))
        image = functional.gaussian_blur(image, [5, 5], [deviation, deviation])
    return image
