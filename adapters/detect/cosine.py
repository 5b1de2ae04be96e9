"""A class head that looks at directions alone."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize


class Cosine(nn.Linear):
    """Scores [N, C] of features [N, D]: their cosine with each row of weights [C, D], times `scale`; no bias.

    Features of new classes differ in length from those of old ones, of which there were many; directions do so less.
    Wang et al. 2020, Frustratingly Simple Few-Shot Object Detection, section 3.2 (eq. 2).
    """

    def __init__(self, features: int, classes: int, scale: float) -> None:
        super().__init__(features, classes, bias=False)
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):  # halves are too coarse once multiplied by `scale`
            return self.scale * linear(normalize(features.float(), dim=1), normalize(self.weight.float(), dim=1))
