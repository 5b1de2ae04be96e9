"""Class means that make predictions confident and varied."""

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from fewshot.heads.common import Normalize, class_means, normalized, one_hot
from studio.core.faces import EpisodeHead, Episodes
from studio.core.registry import Params, register


class TIMParams(Params):
    normalize: Normalize = Field("cl2", description="none, l2 (unit length) or cl2 (centred on the episode first)")
    steps: int = Field(50, ge=1, le=10_000, description="gradient steps on the class means")
    lr: float = Field(1e-3, gt=0, le=1, description="learning rate of Adam")
    scale: float = Field(10.0, gt=0, le=1000, description="factor on the cosine before the softmax")
    cross_entropy: float = Field(1.0, ge=0, le=100, description="weight of the support's cross-entropy")
    marginal_entropy: float = Field(1.0, ge=0, le=100, description="weight of the queries' class balance")
    conditional_entropy: float = Field(0.1, ge=0, le=100, description="weight of the queries' confidence")


@register("fewshot/tim")
class TIM(EpisodeHead):
    """Moves class means so that supports are right, queries are certain, and queries spread over all classes.

    Boudiaf et al. 2020, Transductive Information Maximization for Few-Shot Learning, eq. 3 and 5 (TIM-GD), with
    cosine scores. The marginal entropy is highest where every class has as many queries: unbalanced queries are
    pushed towards balance.
    """

    title = "TIM (transductive information maximisation)"
    paper = "Boudiaf et al. 2020, Transductive Information Maximization For Few-Shot Learning, arXiv:2008.11297"
    transductive = True
    assumes_balanced = True
    Params = TIMParams

    def scores(self, episodes: Episodes) -> Tensor:
        episodes = normalized(episodes, self.params.normalize, with_queries=True)
        features = functional.normalize(torch.cat([episodes.support, episodes.query], 1), dim=-1)

        def logits(means: Tensor) -> Tensor:
            return self.params.scale * (features @ functional.normalize(means, dim=-1).transpose(1, 2))

        def loss(means: Tensor) -> Tensor:
            return self._loss(logits(means), episodes)

        means = descend(class_means(episodes), self.params.steps, self.params.lr, loss)
        return logits(means)[:, episodes.support.shape[1] :]

    def _loss(self, logits: Tensor, episodes: Episodes) -> Tensor:
        p, supports = self.params, episodes.support.shape[1]
        support = support_cross_entropy(logits[:, :supports], episodes)
        probabilities, uncertainty = query_entropy(logits[:, supports:], episodes)
        marginal = probabilities.sum(1) / episodes.query_mask.sum(1, keepdim=True)
        spread = -(marginal * marginal.clamp(min=1e-12).log()).sum(-1)
        return p.cross_entropy * support - p.marginal_entropy * spread + p.conditional_entropy * uncertainty


def descend(start: Tensor, steps: int, lr: float, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """`start` after Adam steps on `loss(x) -> [T]`; episodes do not touch one another."""
    with torch.enable_grad():
        moved = start.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([moved], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            loss(moved).sum().backward()
            optimizer.step()
    return moved.detach()


def support_cross_entropy(logits: Tensor, episodes: Episodes) -> Tensor:
    """Mean cross-entropy over the real supports [T], from logits [T, S, W]."""
    target = one_hot(episodes.labels, episodes.ways, logits.dtype)
    return -(target * logits.log_softmax(-1)).sum((1, 2)) / (episodes.labels >= 0).sum(1)


def query_entropy(logits: Tensor, episodes: Episodes) -> tuple[Tensor, Tensor]:
    """Probabilities of the queries [T, Q, W], zero where padded, and their mean entropy [T]."""
    log_p = logits.log_softmax(-1)
    probabilities = log_p.exp() * episodes.query_mask.unsqueeze(-1)
    return probabilities, -(probabilities * log_p).sum((1, 2)) / episodes.query_mask.sum(1)
