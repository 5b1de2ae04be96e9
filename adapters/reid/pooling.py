"""From a feature map [B, C, h, w] to a vector [B, C]."""

import torch
from torch import Tensor, nn


class GeneralizedMean(nn.Module):
    """The mean of powers p, p learned: 1 is the mean, infinity the maximum. Radenovic et al. 2019, equation 3."""

    def __init__(self, power: float = 3.0, least: float = 1e-6) -> None:
        super().__init__()
        self.power, self.least = nn.Parameter(torch.tensor(power)), least

    def forward(self, maps: Tensor) -> Tensor:
        maps = maps.float().clamp(min=self.least)  # powers leave the range of half precision
        return maps.pow(self.power).mean(dim=(2, 3)).pow(1 / self.power)


class Average(nn.Module):
    """The mean of each channel."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3))


class Largest(nn.Module):
    """The maximum of each channel."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.amax(dim=(2, 3))


POOLINGS: dict[str, type[nn.Module]] = {"average": Average, "gem": GeneralizedMean, "max": Largest}
