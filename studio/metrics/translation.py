"""How good translated images are: beside their pair, or as a set beside images of the look that is wanted.

Images are uint8 [3, H, W]. Features are those of a network that is named wherever such a number is shown.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

SIGMA, REACH = 1.5, 3.5  # of SSIM's window, 11 x 11 pixels
K1, K2 = 0.01, 0.03
NORMAL = 1.959963984540054


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal to noise in dB: 10 log10(255^2 / mean squared difference); 100 where there is none."""
    error = np.mean((image.astype(np.float64) - truth.astype(np.float64)) ** 2)
    return 100.0 if error == 0 else float(min(100.0, 10 * np.log10(255.0**2 / error)))


def ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity, mean over pixels and channels. Wang et al. 2004, equation 13 with a Gaussian window.

    The rim that the window leaves, of 5 pixels, takes no part.
    """
    x, y = image.astype(np.float64), truth.astype(np.float64)

    def blurred(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, (0, SIGMA, SIGMA), truncate=REACH)

    mean_x, mean_y = blurred(x), blurred(y)
    var_x, var_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    both = blurred(x * y) - mean_x * mean_y
    c1, c2 = (K1 * 255) ** 2, (K2 * 255) ** 2
    values = ((2 * mean_x * mean_y + c1) * (2 * both + c2)) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    rim = int(REACH * SIGMA + 0.5)
    inner = values[:, rim:-rim, rim:-rim] if min(values.shape[1:]) > 2 * rim else values
    return float(inner.mean())


def perceptual_distance(
    maps: Sequence[np.ndarray], truth: Sequence[np.ndarray], heads: Sequence[np.ndarray] | None = None
) -> float:
    """How far two images are for a network, from its maps [C, h, w] of both: 0 where they are the same.

    Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, equation 1: directions of
    the channels at each place, squared differences, mean over places, sum over maps. `heads` are LPIPS's learned
    weights [C] of each map; without them all channels weigh 1, and it is to be called by its network, never LPIPS.
    """
    total = 0.0
    for place, (own, other) in enumerate(zip(maps, truth, strict=True)):
        squares = np.square(_directions(own) - _directions(other)).mean((1, 2))  # [C]
        total += float(squares.sum() if heads is None else squares @ heads[place].astype(np.float64))
    return total


def _directions(features: np.ndarray) -> np.ndarray:
    values = features.astype(np.float64)
    return values / np.maximum(np.linalg.norm(values, axis=0), 1e-10)


def kid(made: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """Kernel distance of features [n, d] and [m, d], unbiased, and the half-width of its 95 % interval.

    Binkowski et al. 2018, Demystifying MMD GANs, section 4: squared MMD under k(x, y) = (x y / d + 1)^3. The
    interval is a jackknife's, over the images of both sets; NaN below three images a set.
    """
    kernels = [_cubic(*pair) for pair in ((made, made), (real, real), (made, real))]
    inside = [kernel.sum() - np.trace(kernel) for kernel in kernels[:2]]
    n, m = len(made), len(real)
    across = kernels[2].sum()
    value = inside[0] / (n * (n - 1)) + inside[1] / (m * (m - 1)) - 2 * across / (n * m)
    if min(n, m) < 3:
        return float(value), float("nan")
    variance = 0.0
    for own, other, kernel, total, crossing in (
        (n, m, kernels[0], inside[0], kernels[2].sum(axis=1)),
        (m, n, kernels[1], inside[1], kernels[2].sum(axis=0)),
    ):
        rows = kernel.sum(axis=1) - np.diag(kernel)
        without = (total - 2 * rows) / ((own - 1) * (own - 2)) - 2 * (across - crossing) / ((own - 1) * other)
        variance += (own - 1) / own * np.sum((without - without.mean()) ** 2)
    return float(value), float(NORMAL * np.sqrt(variance))


def _cubic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x.astype(np.float64) @ y.astype(np.float64).T / x.shape[1] + 1.0) ** 3


def frechet_distance(made: np.ndarray, real: np.ndarray) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of features [n, d] and [m, d]. Dowson and Landau 1982.

    Exact also where there are fewer images than features: tr (S1 S2)^(1/2) is the sum of the singular values of the
    centred features of one set times those of the other. It is too large where images are few, so only numbers over as
    many images compare.
    """
    x, y = made.astype(np.float64), real.astype(np.float64)
    means = x.mean(axis=0), y.mean(axis=0)
    a, b = ((values - mean) / np.sqrt(max(1, len(values) - 1)) for values, mean in zip((x, y), means, strict=True))
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(max(0.0, np.sum((means[0] - means[1]) ** 2) + np.sum(a * a) + np.sum(b * b) - 2 * shared))


def diversity(features: np.ndarray) -> float:
    """Mean distance between the features [n, d] of two different images."""
    x = features.astype(np.float64)
    squares = np.sum(x * x, axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * x @ x.T, 0))
    return float((distances.sum() - np.trace(distances)) / (len(x) * (len(x) - 1)))
