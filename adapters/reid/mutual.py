"""What mutual mean-teaching learns from: another network's mean says softly who an image is, and who is nearer."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax


def soft_cross_entropy(logits: Tensor, teacher: Tensor) -> Tensor:
    """-sum of softmax(teacher) log softmax(logits), [B], for logits [B, K]. Ge et al. 2020 (MMT), section 3.2."""
    return -(teacher.detach().softmax(dim=1) * log_softmax(logits, dim=1)).sum(dim=1)


def hardest(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Of each image the row of its farthest of the same label and of its nearest of another, int64 [B] each.

    Where a label comes once, or there is no other, it is the image itself. Hermans et al. 2017, batch hard.
    """
    distances = torch.cdist(features.detach().float(), features.detach().float())
    same = labels[:, None] == labels[None]
    positive = distances.masked_fill(~same, -1).argmax(dim=1)
    negative = distances.masked_fill(same, torch.inf).argmin(dim=1)
    own = torch.arange(len(labels), device=labels.device)
    return positive, torch.where(same.all(dim=1), own, negative)


def margins(features: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """d_n - d_p, [B]: how much farther the negative is than the positive."""
    to_positive, to_negative = (
        (features - features[rows]).square().sum(dim=1).clamp_min(1e-12).sqrt() for rows in (positive, negative)
    )
    return to_negative - to_positive


def softmax_triplet(features: Tensor, labels: Tensor, teacher: Tensor | None = None) -> Tensor:
    """Binary cross-entropy [B] of exp(d_n) / (exp(d_p) + exp(d_n)) on the hardest triplets of features [B, D].

    With 1; with a `teacher`'s features [B, D], with that share of the same triplets as it has them.
    Ge et al. 2020 (MMT), section 3.2.
    """
    triplets = hardest(features, labels)
    own = margins(features, *triplets).float()
    wanted = torch.ones_like(own) if teacher is None else margins(teacher.detach(), *triplets).float().sigmoid()
    return binary_cross_entropy_with_logits(own, wanted, reduction="none")
