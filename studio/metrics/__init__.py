"""Numbers about predictions: accuracy and its kin, calibration, intervals, paired differences.

Pure functions of arrays; may use studio.core. Probabilities are [N, C] with rows that sum to 1, labels
are class indices [N].
"""

from studio.metrics.calibration import ece, fit_temperature, reliability
from studio.metrics.classification import accuracy, classification_report, confusion, macro_f1, per_class
from studio.metrics.intervals import mean_ci95, paired_difference, wilson_ci95

__all__ = [
    "accuracy", "classification_report", "confusion", "ece", "fit_temperature", "macro_f1", "mean_ci95",
    "paired_difference", "per_class", "reliability", "wilson_ci95",
]  # fmt: skip
