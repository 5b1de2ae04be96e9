"""A pool of images that a generator made before: the discriminator sees some of them again."""

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Holds up to `size` images [3, S, S]; half the time an older one is handed out in the place of a new one.

    Shrivastava et al. 2017, section 2.3; Zhu et al. 2017, CycleGAN, section 4: 50 images. It is a part of the learner's
    module, so that a resumed run has it as it was.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, side: int) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, 3, side, side))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, made: Tensor) -> Tensor:
        """Images [B, 3, S, S] of which some are from before; those that are new may be kept. Draws from torch's CPU."""
        if len(self.images) == 0:
            return made
        out = []
        for image in made:
            held = int(self.count)
            if held < len(self.images):
                self.images[held] = image
                self.count += 1
            elif torch.rand(()) < 0.5:
                place = int(torch.randint(held, ()))
                older = self.images[place].clone()
                self.images[place] = image
                image = older.to(made.dtype)
            out.append(image)
        return torch.stack(out)
