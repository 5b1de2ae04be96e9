"""A head that needs no training: the nearest class mean, as one linear layer."""

from typing import TYPE_CHECKING

import numpy as np

from adapters.finetune.standard import mean_and_scale

if TYPE_CHECKING:
    from torch import nn

SHARPNESS = 10.0 ** np.arange(-4, 1.25, 0.25)
UNSEEN = -1e4  # the logit of a class without a training image


def prototype_head(features: np.ndarray, labels: np.ndarray, classes: int) -> "nn.Linear":
    """Logits -s/2 |z - m_c|^2 (less what is common to all classes) as a linear layer of features [N, D].

    z: features standardised by the training set, m_c: mean of class c, labels [N] in 0..classes-1. s is the one of
    SHARPNESS with the smallest leave-one-out loss. A new class's weights are set from its mean: Qi et al. 2018,
    Low-Shot Learning with Imprinted Weights, section 3.1; Euclidean as in Snell et al. 2017, section 2.3.
    """
    import torch
    from torch import nn

    mean, scale = mean_and_scale(features)
    z = (features - mean) / scale
    counts = np.bincount(labels, minlength=classes)
    means = np.zeros((classes, z.shape[1]))
    np.add.at(means, labels, z)
    means /= np.maximum(counts, 1)[:, None]
    offsets = np.where(counts > 0, -0.5 * np.square(means).sum(axis=1), UNSEEN)
    s = _sharpness(z, labels, counts, means, offsets)
    weight = s * means / scale
    bias = np.where(counts > 0, s * offsets, UNSEEN) - weight @ mean
    layer = nn.Linear(z.shape[1], classes)
    layer.weight = nn.Parameter(torch.from_numpy(weight.astype(np.float32)))
    layer.bias = nn.Parameter(torch.from_numpy(bias.astype(np.float32)))
    return layer


def _sharpness(z: np.ndarray, labels: np.ndarray, counts: np.ndarray, means: np.ndarray, offsets: np.ndarray) -> float:
    """The sharpness with the smallest loss where each image is left out of its own class's mean."""
    rows, own = np.arange(len(z)), counts[labels][:, None]
    others = (means[labels] * own - z) / np.maximum(own - 1, 1)  # a class of one image: left with nothing, the origin
    logits = z @ means.T + offsets
    logits[rows, labels] = (z * others).sum(axis=1) - 0.5 * np.square(others).sum(axis=1)

    def loss(s: float) -> float:
        scaled = s * logits
        top = scaled.max(axis=1, keepdims=True)
        return float((np.log(np.exp(scaled - top).sum(axis=1)) + top[:, 0] - scaled[rows, labels]).mean())

    return float(min(SHARPNESS, key=loss))
