"""The k-reciprocal Jaccard distance as Zhong et al. 2017 define it, pair by pair over dense matrices."""

import numpy as np


def dense_jaccard(features: np.ndarray, k1: int, k2: int, relative: bool = False) -> np.ndarray:
    """All distances [N, N] between features [N, D]; holds distances, ranks, weights and their means all at once."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    distances = np.maximum(2 - 2 * unit @ unit.T, 0)
    if relative:
        distances = distances / distances.max(axis=1, keepdims=True)
    ranked = np.argsort(distances, axis=1)
    weights = np.zeros_like(distances)
    for probe in range(len(distances)):
        members = expanded(ranked, probe, k1)
        own = np.exp(-distances[probe, members])
        weights[probe, members] = own / own.sum()
    weights = np.stack([weights[ranked[probe, :k2]].mean(axis=0) for probe in range(len(distances))])
    jaccard, sums = np.empty_like(distances), weights.sum(axis=1)
    for probe in range(len(distances)):
        there = np.flatnonzero(weights[probe])
        least = np.minimum(weights[probe, there], weights[:, there]).sum(axis=1)
        jaccard[probe] = 1 - least / (sums[probe] + sums - least)  # least and greatest are both together
    return jaccard


def expanded(ranked: np.ndarray, probe: int, k1: int) -> list[int]:
    """R*(p, k1), eq. 5."""
    members = reciprocal(ranked, probe, k1)
    enlarged = set(members)
    for member in members:
        half = reciprocal(ranked, member, round(k1 / 2))
        if len(half & members) > 2 / 3 * len(half):
            enlarged |= half
    return sorted(enlarged)


def reciprocal(ranked: np.ndarray, probe: int, k: int) -> set[int]:
    """R(p, k), eq. 4: neighbours of which it is a neighbour; an image is among its own, beside k others."""
    return {int(other) for other in ranked[probe, : k + 1] if probe in ranked[other, : k + 1]}
