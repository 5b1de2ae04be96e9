"""Numbers of translated images against slow plain mathematics and peers."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from studio.metrics.translation import diversity, frechet_distance, kid, perceptual_distance, psnr, ssim

DRAW = np.random.default_rng(0)
MADE, REAL = DRAW.normal(size=(7, 5)), DRAW.normal(0.3, 1.2, size=(9, 5))


def kernel(x, y) -> float:
    return (float(x @ y) / len(x) + 1) ** 3


def slow_kid(x, y) -> float:
    inside = [
        np.mean([kernel(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j]) for s in (x, y)
    ]  # fmt: skip
    return sum(inside) - 2 * np.mean([kernel(a, b) for a in x for b in y])


def test_kid_is_the_unbiased_kernel_distance_and_its_interval_a_jackknife():
    value, interval = kid(MADE, REAL)
    assert value == pytest.approx(slow_kid(MADE, REAL), abs=1e-12)
    variance = 0.0
    for own, of in ((MADE, lambda left: slow_kid(left, REAL)), (REAL, lambda left: slow_kid(MADE, left))):
        without = np.array([of(np.delete(own, row, axis=0)) for row in range(len(own))])
        variance += (len(own) - 1) / len(own) * np.sum((without - without.mean()) ** 2)
    assert interval == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-5)
    assert np.isnan(kid(MADE[:2], REAL)[1])


@pytest.mark.parametrize("count", [40, 4])
def test_the_frechet_distance_is_that_of_the_covariances_also_where_images_are_few(count):
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(count, 6)), draw.normal(0.5, 2.0, size=(count + 3, 6))
    covariances = np.cov(x.T), np.cov(y.T)
    root = np.trace(sqrtm(covariances[0] @ covariances[1]).real)
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + sum(map(np.trace, covariances)) - 2 * root
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_psnr_is_the_logarithm_of_the_squared_difference():
    image = np.full((3, 8, 8), 100, np.uint8)
    assert psnr(image, image + np.uint8(10)) == pytest.approx(20 * np.log10(255 / 10)) and psnr(image, image) == 100.0


def test_ssim_is_that_of_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    draw = np.random.default_rng(2)
    truth = draw.integers(0, 256, (3, 40, 33), dtype=np.uint8)
    image = np.clip(truth + draw.normal(0, 40, truth.shape), 0, 255).astype(np.uint8)
    expected = metrics.structural_similarity(
        image, truth, channel_axis=0, data_range=255, gaussian_weights=True, use_sample_covariance=False
    )
    assert ssim(image, truth) == pytest.approx(expected, abs=1e-9) and ssim(truth, truth) == pytest.approx(1.0)


def test_the_perceptual_distance_is_that_of_directions_place_by_place():
    draw = np.random.default_rng(0)
    maps, truth = ([draw.normal(size=shape) for shape in ((3, 2, 4), (5, 1, 2))] for _ in range(2))
    expected = 0.0
    for own, other in zip(maps, truth, strict=True):
        places = [(row, column) for row in range(own.shape[1]) for column in range(own.shape[2])]
        for place in places:
            one, two = own[:, *place], other[:, *place]
            expected += np.sum((one / np.sqrt(one @ one) - two / np.sqrt(two @ two)) ** 2) / len(places)
    assert perceptual_distance(maps, truth) == pytest.approx(expected)
    heads = [np.zeros(3), np.full(5, 2.0)]  # of the second map alone, twice
    weighed = 2 * perceptual_distance(maps[1:], truth[1:])
    assert perceptual_distance(maps, truth, heads) == pytest.approx(weighed)
    assert perceptual_distance(maps, [2 * features for features in maps]) == pytest.approx(0)
    assert perceptual_distance([np.zeros((3, 2, 2))], [np.zeros((3, 2, 2))]) == 0


def test_diversity_is_the_mean_distance_of_different_images():
    pairs = [np.linalg.norm(a - b) for i, a in enumerate(MADE) for j, b in enumerate(MADE) if i != j]
    assert diversity(MADE) == pytest.approx(np.mean(pairs))
    assert diversity(np.ones((4, 3))) == pytest.approx(0, abs=1e-6)
