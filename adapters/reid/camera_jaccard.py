"""Neighbourhoods for the Jaccard distance that a camera's light does not decide: of its own and of other cameras.

Chen et al. 2024, CA-Jaccard: camera-aware k-reciprocal neighbours and camera-aware local query expansion. Where images
of one camera are all nearer to each other than to any other, an image's nearest ones are by that camera; looked for
apart, some are always of other cameras.
"""

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn.functional import normalize

from adapters.reid.jaccard import CELLS, weighted

OWN = 1 / 3  # of k1 and k2, the share that an image's own camera gets; the paper has 5 of 25 and 2 of 6


def neighbourhoods_by_camera(
    features: Tensor, cameras: np.ndarray, k1: int = 30, k2: int = 6, device: str = "cpu"
) -> csr_matrix:
    """The weights [N, N] of each image's neighbours, as `jaccard.neighbourhoods` has them; cameras int64 [N].

    Neighbours are k-reciprocal among the images of a camera, and among those of all others; these sets are not
    enlarged. Rows are averaged over the nearest of both kinds, the image itself counted.
    """
    unit = normalize(features, dim=1)
    own, near = max(1, round(OWN * k1)), max(1, round(OWN * k2))
    inside = nearest_of(unit, cameras, True, max(own + 1, near), device)
    outside = nearest_of(unit, cameras, False, max(k1 - own, k2 - near), device)
    graphs = [_graph(inside[:, : own + 1]), _graph(outside[:, : k1 - own])]
    weights = weighted(unit, sum(graph.multiply(graph.T) for graph in graphs).tocsr())  # type: ignore[union-attr]
    averaged = _graph(np.concatenate([inside[:, :near], outside[:, : k2 - near]], axis=1)).astype(weights.dtype)
    return averaged.multiply(1 / averaged.sum(axis=1)).tocsr() @ weights


def nearest_of(unit: Tensor, cameras: np.ndarray, same: bool, count: int, device: str = "cpu") -> np.ndarray:
    """The `count` nearest among the images of the own camera, itself first, or of all others, int64 [N, count].

    -1 where there are no more. unit vectors [N, D]; found in blocks on `device`.
    """
    held, camera = unit.to(device), torch.from_numpy(cameras).to(device)
    count, block = min(count, len(unit)), max(1, CELLS // len(unit))
    parts = []
    for start in range(0, len(unit), block):
        distances = 2 - 2 * held[start : start + block] @ held.T
        own = torch.arange(len(distances), device=distances.device)
        distances[own, start + own] = -1  # a copy of it may be as near
        distances[(camera[start : start + block, None] == camera[None]) != same] = torch.inf
        values, indices = distances.topk(count, dim=1, largest=False)
        parts.append(indices.masked_fill(values.isinf(), -1).cpu())
    return torch.cat(parts).numpy()


def _graph(indices: np.ndarray) -> csr_matrix:
    """1 [N, N] where `indices` [N, k] point; -1 points nowhere."""
    line, place = np.nonzero(indices >= 0)
    return csr_matrix((np.ones(len(line), np.float32), (line, indices[line, place])), shape=(len(indices),) * 2)
