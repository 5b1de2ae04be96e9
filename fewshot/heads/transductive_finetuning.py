"""Class means fine-tuned on support and queries."""

import torch
from pydantic import Field
from torch import Tensor

from fewshot.heads.common import Normalize, class_means, normalized
from fewshot.heads.tim import descend, query_entropy, support_cross_entropy
from studio.core.faces import EpisodeHead, Episodes
from studio.core.registry import Params, register


class TransductiveFinetuningParams(Params):
    normalize: Normalize = Field("cl2", description="none, l2 (unit length) or cl2 (centred on the episode first)")
    steps: int = Field(25, ge=1, le=10_000, description="gradient steps on the class means")
    lr: float = Field(5e-5, gt=0, le=1, description="learning rate of Adam")
    scale: float = Field(10.0, gt=0, le=1000, description="factor on the negative distance before the softmax")


@register("fewshot/transductive-finetuning")
class TransductiveFinetuning(EpisodeHead):
    """Moves class means so that supports are right and queries are certain; scores are negative distances.

    Dhillon, Chaudhari, Ravichandran, Soatto 2020, A Baseline for Few-Shot Image Classification, eq. 8. The paper
    fine-tunes the whole network; on frozen features the class means are what there is to tune.
    """

    title = "Transductive fine-tuning"
    paper = "Dhillon et al. 2020, A Baseline for Few-Shot Image Classification, arXiv:1909.02729"
    transductive = True
    Params = TransductiveFinetuningParams

    def scores(self, episodes: Episodes) -> Tensor:
        episodes = normalized(episodes, self.params.normalize, with_queries=True)
        features, supports = torch.cat([episodes.support, episodes.query], 1), episodes.support.shape[1]
        lengths = features.square().sum(-1, keepdim=True)

        def logits(means: Tensor) -> Tensor:
            squares = lengths + means.square().sum(-1).unsqueeze(1) - 2 * (features @ means.transpose(1, 2))
            # the constant keeps the slope finite where a single support is its class mean
            return -self.params.scale * (squares.clamp(min=0) + 1e-12).sqrt()

        def loss(means: Tensor) -> Tensor:
            scores = logits(means)
            _, uncertainty = query_entropy(scores[:, supports:], episodes)
            return support_cross_entropy(scores[:, :supports], episodes) + uncertainty

        means = descend(class_means(episodes), self.params.steps, self.params.lr, loss)
        return logits(means)[:, supports:]
