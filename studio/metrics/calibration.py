"""Whether confidence can be believed: expected calibration error, reliability, temperature scaling.

Images without a label (-1) are left out.
"""

import numpy as np

BINS = 15


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean confidence, accuracy (both NaN where a bin is empty) and count of each of `bins` equal bins over (0, 1]."""
    known = np.asarray(labels) >= 0
    probabilities, labels = np.asarray(probabilities)[known], np.asarray(labels)[known]
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, confidence, bins) / count
        hit = np.bincount(place, right, bins) / count
    return mean, hit, count


def ece(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: mean |confidence - accuracy| over the bins, NaN without labels.

    Guo et al. 2017, eq. 3.
    """
    mean, hit, count = reliability(probabilities, labels, bins)
    full = count > 0
    if not full.any():
        return float("nan")
    return float((np.abs(mean[full] - hit[full]) * count[full]).sum() / count.sum())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T in 0.05..20 that minimises the loss of softmax(logits / T). Guo et al. 2017, section 4.2.

    logits [N, C], labels [N], of images that were not trained on. Where all of them are classified rightly the loss
    has no minimum and T goes to the least allowed; 1 where none has a label.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    known = np.asarray(labels) >= 0
    logits, labels = np.asarray(logits, np.float64)[known], np.asarray(labels)[known]
    if len(labels) == 0:
        return 1.0
    rows = np.arange(len(labels))

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        return float((logsumexp(scaled, axis=1) - scaled[rows, labels]).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded").x))
