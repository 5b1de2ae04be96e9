"""Soft transfer network: two networks lead features of different width into one space with one classifier."""

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, leaky_relu, one_hot

from adapters.align.base import FewLabels, HeterogeneousParams
from adapters.align.classifiers import LinearClassifier
from adapters.align.projections import Projection
from adapters.align.stored import Arrays
from adapters.backbones.seeds import seeded
from studio.core.registry import register

SLOPE = 0.2  # of the leaky ReLU below 0


class StnParams(HeterogeneousParams):
    width: int = Field(256, ge=1, le=4096, description="width of the common space")
    soft_mmd: float = Field(0.001, ge=0, le=1000, description="weight of the soft-MMD (beta)")
    decay: float = Field(0.001, ge=0, le=10, description="weight of the networks' squared norm (tau)")
    lr: float = Field(0.001, gt=0, le=1, description="learning rate of Adam, on all samples at once")
    steps: int = Field(
        300, ge=1, le=10_000, description="steps; the target's own labels count more from each to the next"
    )
    seed: int = Field(0, ge=0, description="of the networks' first weights")


@register("align/stn")
class Stn(FewLabels):
    """min over g_s, g_t, f of the labelled samples' cross-entropy + beta Q + tau |weights|^2.

    Yao et al. 2019, eq. 1-8. Q is the soft-MMD: squared distances of the domains' means as a whole, and class by class,
    where a sample of the target without a label counts to each class as its prediction says, times r / R at step r of
    R. The labelled of source and target weigh the same here, however many they are.
    """

    title = "Soft transfer network"
    paper = "Yao et al. 2019, Heterogeneous Domain Adaptation via Soft Transfer Network"
    Params = StnParams
    heterogeneous = True

    def solve(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> None:
        params = self.params
        with seeded(params.seed):
            source, target = (nn.Linear(x.shape[1], params.width) for x in (xs, xt))
            head = nn.Linear(params.width, self.count)
        scales = [_length(x) for x in (xs, xt)]
        xs, xt = (torch.from_numpy(x / scale).float() for x, scale in zip((xs, xt), scales, strict=True))
        ys, few = torch.from_numpy(ys), torch.from_numpy(self.few_labels)
        free = torch.from_numpy(np.setdiff1d(np.arange(len(xt)), self.few))
        matrices = [module.weight for module in (source, target, head)]
        optimizer = torch.optim.Adam([p for module in (source, target, head) for p in module.parameters()], params.lr)
        for step in range(params.steps):
            zs, zt = (leaky_relu(net(x), SLOPE) for net, x in ((source, xs), (target, xt)))
            logits = head(zt)
            shares = torch.cat([one_hot(few, self.count).float(), _shares(logits[free], step / params.steps)])
            gap = soft_mmd(zs, one_hot(ys, self.count).float(), torch.cat([zt[self.few], zt[free]]), shares)
            loss = (cross_entropy(head(zs), ys) + cross_entropy(logits[self.few], few)) / 2
            loss = loss + params.soft_mmd * gap + params.decay * sum(matrix.square().sum() for matrix in matrices)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self.projection = Leaky(_array(target.weight).T / scales[1], _array(target.bias))
        self.classifier = LinearClassifier()
        self.classifier.weight, self.classifier.bias = _array(head.weight).T, _array(head.bias)


@dataclass
class Leaky(Projection, kind="leaky"):
    """A leaky ReLU of x W + b."""

    matrix: np.ndarray  # [d, k]
    bias: np.ndarray  # [k]

    @property
    def width(self) -> int:
        return self.matrix.shape[1]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        z = x @ self.matrix + self.bias
        return np.where(z > 0, z, SLOPE * z)

    def arrays(self) -> Arrays:
        return {"matrix": self.matrix, "bias": self.bias}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Leaky":
        return cls(arrays["matrix"], arrays["bias"])


def soft_mmd(source: Tensor, of_source: Tensor, target: Tensor, of_target: Tensor) -> Tensor:
    """Squared distances of means, of the whole and of each class, summed.

    Of features [N, D] and [M, D] with class shares [N, C] and [M, C]. A class that one of the domains has nothing of
    adds nothing.
    """
    whole = (source.mean(dim=0) - target.mean(dim=0)).square().sum()
    (of_s, some_s), (of_t, some_t) = _class_means(source, of_source), _class_means(target, of_target)
    return whole + ((of_s - of_t).square().sum(dim=1) * (some_s & some_t)).sum()


def _class_means(features: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted means [C, D], and which classes have any weight [C]."""
    weights = shares.sum(dim=0)
    return shares.T @ features / weights.clamp_min(1e-8)[:, None], weights > 1e-8


def _shares(logits: Tensor, trust: float) -> Tensor:
    return trust * logits.detach().softmax(dim=1)


def _length(x: np.ndarray) -> float:
    return float(np.sqrt((x * x).sum(axis=1).mean())) or 1.0


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()
