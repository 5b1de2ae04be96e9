"""Ridge regression on one-hot labels."""

import torch
from pydantic import Field
from torch import Tensor

from fewshot.heads.common import EpisodeGram, GramHead, Normalize, one_hot
from studio.core.registry import Params, register


class RidgeParams(Params):
    normalize: Normalize = Field("l2", description="none, l2 (unit length) or cl2 (centred on the support first)")
    penalty: float = Field(0.1, ge=1e-4, le=1e6, description="weight of the squared norm (lambda)")
    scale: float = Field(10.0, gt=0, le=1000, description="factor on the regression before the softmax")


@register("fewshot/ridge")
class Ridge(GramHead):
    """Ridge regression from features to one-hot labels with an unpenalised intercept, solved in closed form.

    Bertinetto, Henriques, Torr, Vedaldi 2019, Meta-learning with differentiable closed-form solvers (R2-D2), eq. 4
    and its dual form (Woodbury): a system of the size of the support, whatever the width of the features.
    """

    title = "Ridge regression"
    paper = "Bertinetto et al. 2019, Meta-learning with differentiable closed-form solvers, arXiv:1805.08136"
    formula = (
        r"W = (\bar X^\top \bar X + \lambda I)^{-1} \bar X^\top \bar Y, "
        r"\qquad s(q) = W^\top (f(q) - \bar x) + \bar y"
    )
    Params = RidgeParams

    def scores_from_gram(self, gram: EpisodeGram) -> Tensor:
        gram = gram.normalized(self.params.normalize)
        kernel = CenteredKernel(gram, self.params.penalty)
        targets = one_hot(gram.labels, gram.ways, gram.cross.dtype)
        coefficients, mean = kernel.solve(targets)
        return self.params.scale * kernel.predict(coefficients, mean)


class CenteredKernel:
    """Kernel ridge regression with an intercept: (K + penalty I) A = R - mean(R) on centred features."""

    def __init__(self, gram: EpisodeGram, penalty: float) -> None:
        gram = gram.centered()
        self._taking_part = (gram.labels >= 0).unsqueeze(-1).to(gram.cross.dtype)  # [T, S, 1]
        self._cross = gram.cross
        kernel = gram.support * self._taking_part * self._taking_part.transpose(1, 2)
        ridge = penalty * torch.eye(kernel.shape[-1], dtype=kernel.dtype, device=kernel.device)
        self._factor = torch.linalg.cholesky(kernel + ridge)

    def inverse(self) -> Tensor:
        """(K + penalty I)^-1 [T, S, S], for those who solve many times."""
        return torch.cholesky_inverse(self._factor)

    def split(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Targets [T, S, W] as their mean [T, 1, W] over real supports and what is left, zero where padded."""
        mean = (targets * self._taking_part).sum(1, keepdim=True) / self._taking_part.sum(1, keepdim=True)
        return mean, (targets - mean) * self._taking_part

    def solve(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Dual coefficients [T, S, W] and intercepts [T, 1, W]."""
        mean, rest = self.split(targets)
        return torch.cholesky_solve(rest, self._factor), mean

    def predict(self, coefficients: Tensor, intercept: Tensor) -> Tensor:
        """Values [T, Q, W] at the queries; coefficients are zero where padded."""
        return self._cross @ coefficients + intercept
