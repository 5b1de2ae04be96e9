"""Distances of re-ranking: how much of their neighbourhoods query and image share, beside how far they are."""

import numpy as np
import torch

from adapters.reid.jaccard import jaccard, neighbourhoods
from studio.metrics.retrieval import Distances, euclidean


def reranked(query: np.ndarray, gallery: np.ndarray, k1: int, k2: int, keep: float, device: str = "cpu") -> Distances:
    """(1 - keep) * Jaccard + keep * own distance, of embeddings [Q, D] and [G, D], a block of queries at a time.

    Zhong et al. 2017, Re-ranking Person Re-identification with k-reciprocal Encoding, equations 3 to 12. Neighbours are
    sought among queries and gallery together; distances are squared Euclidean between unit vectors, divided by the
    query's largest.
    """
    whole = np.concatenate([query, gallery])
    rows = neighbourhoods(torch.from_numpy(whole), k1, k2, relative=True, device=device)
    answers = rows[len(query) :]
    unit = whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-12)
    own = euclidean(unit[: len(query)], unit)

    def block(first: int, last: int) -> np.ndarray:
        distances = own(first, last)
        distances /= np.maximum(distances.max(axis=1, keepdims=True), 1e-12)
        shared = jaccard(rows[first:last], answers)
        return (1 - keep) * shared + keep * distances[:, len(query) :]

    return block
