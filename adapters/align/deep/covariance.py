"""Second-order statistics of two domains."""

from torch import Tensor

from studio.device.precision import full_precision


def covariance(features: Tensor) -> Tensor:
    """The covariance [D, D] of features [N, D], over N - 1."""
    centred = features - features.mean(dim=0, keepdim=True)
    with full_precision(centred):
        return centred.T @ centred / max(1, len(features) - 1)


def coral(source: Tensor, target: Tensor) -> Tensor:
    """|C_s - C_t|_F^2 / (4 d^2) of features [N, D] and [M, D]. Sun, Saenko 2016, eq. 1."""
    return (covariance(source) - covariance(target)).square().sum() / (4 * source.shape[1] ** 2)
