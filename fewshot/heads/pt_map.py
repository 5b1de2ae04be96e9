"""Power transform and optimal transport between queries and classes."""

import torch
from pydantic import Field
from torch import Tensor

from fewshot.heads.common import EpisodeGram, Normalize, one_hot
from studio.core.faces import EpisodeHead, Episodes
from studio.core.registry import Params, register


class PTMAPParams(Params):
    power: float = Field(0.5, gt=0, le=2, description="exponent of the power transform (beta); needs features >= 0")
    normalize: Normalize = Field("cl2", description="none, l2 (unit length) or cl2 (centred on the episode first)")
    sharpness: float = Field(10.0, gt=0, le=1000, description="factor on the costs of the transport (lambda)")
    steps: int = Field(20, ge=1, le=1000, description="updates of the class means")
    rate: float = Field(0.2, gt=0, le=1, description="how far a mean moves in an update (alpha)")


@register("fewshot/pt-map")
class PTMAP(EpisodeHead):
    """Queries are shared out so that every class gets as many, class means follow, and again.

    Hu, Gripon, Pateux 2020, Leveraging the Feature Distribution in Transfer-based Few-Shot Learning, eq. 1 (power
    transform), 3 (transport) and 6 (means). The transport is balanced by construction: where classes have unequal
    numbers of queries it must be wrong. Negative features count as zero. Scores are log-probabilities.
    """

    title = "PT-MAP (power transform, optimal transport)"
    paper = "Hu et al. 2020, Leveraging the Feature Distribution in Transfer-based Few-Shot Learning, arXiv:2006.03806"
    transductive = True
    assumes_balanced = True
    Params = PTMAPParams

    def scores(self, episodes: Episodes) -> Tensor:
        p, supports = self.params, episodes.support.shape[1]
        products = self._products(episodes)  # means stay weighted sums of features: this is all they need
        lengths = products.diagonal(dim1=1, dim2=2).unsqueeze(-1)
        members = one_hot(episodes.labels, episodes.ways, products.dtype)
        no_query = members.new_zeros(len(members), episodes.query.shape[1], episodes.ways)
        means = torch.cat([members / members.sum(1, keepdim=True), no_query], 1)  # weights [T, S+Q, W]
        bias = None
        for step in range(p.steps + 1):
            to_means = products @ means
            distances = lengths - 2 * to_means + (means * to_means).sum(1, keepdim=True)
            logits = -p.sharpness * distances[:, supports:]
            shares, bias = balanced_shares(logits, episodes.query_mask, bias)
            if step < p.steps:
                weights = torch.cat([members, shares], 1)
                means = means + p.rate * (weights / weights.sum(1, keepdim=True) - means)
        return (logits + bias).log_softmax(-1)

    def _products(self, episodes: Episodes) -> Tensor:
        """Inner products [T, S+Q, S+Q] of supports and queries after power transform and normalisation."""
        features = torch.cat([episodes.support, episodes.query], 1).relu_().add_(1e-6)
        features = features.sqrt_() if self.params.power == 0.5 else features.pow_(self.params.power)
        products = features @ features.transpose(1, 2)
        real = torch.cat([episodes.labels >= 0, episodes.query_mask], 1)
        nothing = products[:, :0]
        gram = EpisodeGram(nothing, products, nothing[:, :, 0], real.long() - 1, episodes.ways)
        return gram.normalized(self.params.normalize).support


def balanced_shares(
    logits: Tensor, mask: Tensor, bias: Tensor | None = None, tolerance: float = 1e-5, steps: int = 200
) -> tuple[Tensor, Tensor]:
    """The transport plan P = softmax(logits + bias) [T, Q, W] whose columns all sum to (number of queries) / W.

    That is the plan Sinkhorn's iteration tends to; rows are met by the softmax, so only the W biases are unknown.
    They minimise the convex sum_q logsumexp(logits_q + bias) - sum_w bias_w Q / W. Newton steps find them in a few
    rounds; an episode whose Newton step does not descend takes Sinkhorn's, which always does.
    `bias` [T, 1, W] is where to start from. Returns P (zero where padded) and the biases.
    """
    ways = logits.shape[-1]
    goal = mask.sum(1).to(logits.dtype).view(-1, 1, 1) / ways
    bias = logits.new_zeros(len(logits), 1, ways) if bias is None else bias
    ones = logits.new_ones(ways, ways)
    plan, value = _plan(logits, mask, bias, goal)
    for _ in range(steps):
        sums = plan.sum(1, keepdim=True)
        if (sums - goal).abs().max() <= tolerance * goal.max():
            break
        curvature = torch.diag_embed(sums.squeeze(1)) - plan.transpose(1, 2) @ plan + ones
        step, failed = torch.linalg.solve_ex(curvature, (goal - sums).transpose(1, 2))
        tried = bias + step.transpose(1, 2)
        tried_plan, tried_value = _plan(logits, mask, tried, goal)
        worse = ~(tried_value <= value) | (failed > 0)
        if worse.any():
            sinkhorn = bias + goal.log() - sums.clamp(min=1e-30).log()
            tried = torch.where(worse.view(-1, 1, 1), sinkhorn, tried)
            tried_plan, tried_value = _plan(logits, mask, tried, goal)
        bias, plan, value = tried, tried_plan, tried_value
    return plan, bias


def _plan(logits: Tensor, mask: Tensor, bias: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(logits + bias), zero where padded, and the value that the biases minimise [T]."""
    biased = logits + bias
    normalizer = biased.logsumexp(-1, keepdim=True)
    plan = (biased - normalizer).exp() * mask.unsqueeze(-1)
    value = (normalizer.squeeze(-1) * mask).sum(1) - (bias * goal).sum((1, 2))
    return plan, value
