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
    return compared(np.stack([weights[ranked[probe, :k2]].mean(axis=0) for probe in range(len(distances))]))


def dense_camera_jaccard(features: np.ndarray, cameras: np.ndarray, k1: int, k2: int) -> np.ndarray:
    """The same with neighbours of the own camera (a third) and of others apart, as Chen et al. 2024 define it."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    distances, same = np.maximum(2 - 2 * unit @ unit.T, 0), cameras[:, None] == cameras[None]
    images = range(len(distances))
    own, others = (
        [[j for j in np.argsort(distances[i], kind="stable") if kind[i, j]] for i in images] for kind in (same, ~same)
    )
    weights = np.zeros_like(distances)
    for i in images:
        inside = {j for j in own[i][: round(k1 / 3) + 1] if i in own[j][: round(k1 / 3) + 1]}
        outside = {j for j in others[i][: k1 - round(k1 / 3)] if i in others[j][: k1 - round(k1 / 3)]}
        members = sorted(inside | outside)
        weights[i, members] = np.exp(-distances[i, members]) / np.exp(-distances[i, members]).sum()
    near = [own[i][: round(k2 / 3)] + others[i][: k2 - round(k2 / 3)] for i in images]
    return compared(np.stack([weights[near[i]].mean(axis=0) for i in images]))


def compared(weights: np.ndarray) -> np.ndarray:
    """Distances [N, N] between rows of weights, eq. 10."""
    jaccard, sums = np.empty((len(weights), len(weights))), weights.sum(axis=1)
    for probe in range(len(weights)):
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
