"""ClassMix: half of the classes of a source image, cut out along their masks and laid over a target image."""

import torch
from torch import Tensor

from studio.data.masks.class_map import VOID


def half_of_classes(masks: Tensor) -> Tensor:
    """Where the pixels of a random half of each map's classes are, bool [B, H, W], of maps uint8 [B, H, W].

    Of an odd number of classes the larger half; void pixels are never among them. Olsson et al. 2021, ClassMix,
    section 3.2; between domains as in Tranheden et al. 2021, DACS, section 3.
    """
    chosen = torch.zeros(masks.shape, dtype=torch.bool, device=masks.device)
    for row, mask in enumerate(masks):
        present = mask.unique()
        present = present[present != VOID]
        half = present[torch.randperm(len(present)).to(present.device)[: (len(present) + 1) // 2]]
        chosen[row] = torch.isin(mask, half)
    return chosen


def laid_over(chosen: Tensor, above: Tensor, below: Tensor) -> Tensor:
    """`above` where bool [B, H, W] is set, else `below`; both [B, H, W] or images [B, C, H, W]."""
    return torch.where(chosen if above.ndim == 3 else chosen.unsqueeze(1), above, below)
