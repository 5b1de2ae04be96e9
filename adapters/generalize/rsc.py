"""RSC: the features that the network leans on most are taken away while it learns."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from adapters.generalize.base import GeneralizeParams, Generalizer, single
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches


class RscParams(GeneralizeParams):
    features: float = Field(1 / 3, gt=0, lt=1, description="share of an image's features that are muted")
    images: float = Field(1 / 3, gt=0, le=1, description="share of the images of a source that are muted")


@register("generalize/rsc")
class Rsc(Generalizer):
    """Mutes the features whose gradient of the true class is largest, on the images it would cost most.

    Huang et al. 2020, eq. 1-4: the gradient of the true class's logit by the features says which to mute, the loss of
    confidence in the true class on which images; on pooled features.
    """

    title = "RSC"
    paper = "Huang et al. 2020, Self-Challenging Improves Cross-Domain Generalization"
    Params = RscParams

    def losses(self, batch: StreamBatches, at: Step) -> Any:
        risks = []
        for source in self.see(batch.sources):
            truth = soft(source.batch.labels, source.logits.shape[1])
            muted = self.challenged(source.features, truth)
            logits = single(self.module.classify(muted))
            risks.append(source.batch.mean(cross_entropy(logits, truth, reduction="none")))
        return {"classify": torch.stack(risks).mean()}

    def challenged(self, features: Tensor, truth: Tensor) -> Tensor:
        """Features [B, D] with the leading ones muted on some images; truth [B, C] soft labels."""
        watched = features.detach().requires_grad_()
        logits = single(self.module.head(watched))
        gradient = torch.autograd.grad((logits * truth).sum(), watched)[0]
        with torch.no_grad():
            kept = lowest(gradient, 1 - self.params.features).to(features)
            before = (logits.softmax(dim=1) * truth).sum(dim=1)
            after = (single(self.module.head(watched * kept)).softmax(dim=1) * truth).sum(dim=1)
            spared = lowest((before - after)[None], 1 - self.params.images)[0].to(features)
        return features * torch.maximum(kept, spared[:, None])


def lowest(values: Tensor, share: float) -> Tensor:
    """True for the values of each row of [B, D] that are at most its quantile `share`."""
    return values <= values.float().quantile(share, dim=1, keepdim=True)


def soft(labels: Tensor, classes: int) -> Tensor:
    """Labels [B] or [B, C] as shares [B, C]."""
    return labels if labels.ndim == 2 else one_hot(labels, classes).float()
