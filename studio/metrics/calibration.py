"""Whether confidence can be believed: expected calibration error, reliability, temperature scaling."""

import numpy as np

BINS = 15


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, ...]:
    """Of each of `bins` equal bins of confidence in (0, 1]: mean confidence, accuracy (NaN if empty), count."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, confidence, bins) / count
        hit = np.bincount(place, right, bins) / count
    return mean, hit, count


def ece(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: mean |confidence - accuracy| over the bins. Guo et al. 2017, eq. 3."""
    mean, hit, count = reliability(probabilities, labels, bins)
    full = count > 0
    return float((np.abs(mean[full] - hit[full]) * count[full]).sum() / count.sum())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T > 0 that minimises the loss of softmax(logits / T). Guo et al. 2017, section 4.2.

    To be fitted on images that were not trained on.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    rows = np.arange(len(labels))

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        return float((logsumexp(scaled, axis=1) - scaled[rows, labels]).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded").x))
