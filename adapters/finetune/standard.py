"""Features on one scale, as the heads that are solved on them want them."""

import numpy as np

ROUNDING = 1e-4  # of the features' size: a channel that varies by less holds rounding errors, not an image


def mean_and_scale(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and standard deviation [D] of features [N, D]; that of a constant channel is not below ROUNDING."""
    size = float(np.sqrt(np.square(features, dtype=np.float64).mean()))
    return features.mean(axis=0), np.maximum(features.std(axis=0), max(ROUNDING * size, 1e-6))
