"""Losses of embeddings: identities as classes, with and without a margin, and pairs or triplets within a batch."""

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, relu, softplus


def batch_hard(features: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Triplets of each image with its farthest right and its nearest wrong one in the batch, by Euclidean distance.

    Hermans et al. 2017, In Defense of the Triplet Loss, equation 5; `margin` 0 is their soft margin. features [B, D],
    labels [B]; images without a right or a wrong one in the batch take no part.
    """
    distances = euclidean_distances(features)
    same = labels[:, None] == labels
    other = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    farthest = distances.masked_fill(~other, 0.0).amax(dim=1)
    nearest = distances.masked_fill(same, math.inf).amin(dim=1)
    able = other.any(dim=1) & ~same.all(dim=1)
    if not able.any():
        return features.sum() * 0.0
    differences = (farthest - nearest)[able]
    return (relu(differences + margin) if margin else softplus(differences)).mean()


def arc_margin(cosines: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
    """Cross-entropy where the angle to the own class [B, C] is made wider by `margin` (radians).

    Deng et al. 2019, ArcFace, equation 3. Past the angle where that would come round again, the cosine falls linearly
    instead (their code's easy margin off), so that the loss stays monotonic.
    """
    own = cosines.gather(1, labels[:, None]).clamp(-1, 1)
    sine = (1 - own.square()).clamp(min=1e-12).sqrt()
    widened = own * math.cos(margin) - sine * math.sin(margin)
    beyond = own <= math.cos(math.pi - margin)
    widened = torch.where(beyond, own - margin * math.sin(math.pi - margin), widened)
    return cross_entropy(scale * cosines.scatter(1, labels[:, None], widened.to(cosines.dtype)), labels)


def circle(embeddings: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
    """All pairs of a batch, each weighed by how far it is from where it should be.

    Sun et al. 2020, Circle Loss, equations 4 to 6 with the optima 1 + m and -m and the margins 1 - m and m of section
    3.3, for each image as the anchor of its pairs. embeddings [B, D] of any length, labels [B].
    """
    unit = normalize(embeddings, dim=1)
    cosines = unit @ unit.T
    same = labels[:, None] == labels
    right = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    weight_right = relu(1 + margin - cosines.detach())
    weight_wrong = relu(cosines.detach() + margin)
    pull = (-scale * weight_right * (cosines - (1 - margin))).masked_fill(~right, -math.inf)
    push = (scale * weight_wrong * (cosines - margin)).masked_fill(same, -math.inf)
    able = right.any(dim=1) & ~same.all(dim=1)
    if not able.any():
        return embeddings.sum() * 0.0
    return softplus(pull[able].logsumexp(dim=1) + push[able].logsumexp(dim=1)).mean()


def euclidean_distances(features: Tensor) -> Tensor:
    """Distances [B, B], with a gradient where two are the same."""
    features = features.float()
    squares = features.square().sum(dim=1)
    products = squares[:, None] + squares - 2 * features @ features.T
    return products.clamp(min=1e-12).sqrt()
