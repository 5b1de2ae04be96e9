"""Domain gaps: against slow references from their definitions, and what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.rank.gaps import GAPS, a_distance, coral, mmd
from adapters.rank.gaps.mmd import class_mmd, median_distance
from studio.core.errors import DataError


def domains(n: int = 40, m: int = 30, d: int = 6, shift: float = 0.5, seed: int = 0):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(n, d)), draw.normal(size=(m, d)) * (1 + shift) + shift


def slow_mmd(a, b, bandwidth):
    def kernel(p, q):
        return np.exp(-((p - q) ** 2).sum() / bandwidth)

    inside = [
        np.mean([kernel(p, q) for i, p in enumerate(side) for j, q in enumerate(side) if i != j]) for side in (a, b)
    ]
    return sum(inside) - 2 * np.mean([kernel(p, q) for p in a for q in b])


def test_mmd_is_the_unbiased_estimate_at_the_median_distance():
    a, b = domains()
    both = np.concatenate([a, b])
    distances = [((both[i] - both[j]) ** 2).sum() for i in range(len(both)) for j in range(i)]
    assert median_distance(both) == pytest.approx(np.median(distances))
    assert mmd(a, b) == pytest.approx(slow_mmd(a, b, np.median(distances)), rel=1e-9)


def test_mmd_in_blocks_is_mmd_at_once():
    a, b = domains(1500, 1100, 3)
    kernel = np.exp(-((np.concatenate([a, b])[:, None] - np.concatenate([a, b])[None]) ** 2).sum(axis=2) / 4.0)
    own, other = kernel[:1500, :1500], kernel[1500:, 1500:]
    expected = (
        (own.sum() - 1500) / (1500 * 1499) + (other.sum() - 1100) / (1100 * 1099) - 2 * kernel[:1500, 1500:].mean()
    )
    assert mmd(a, b, 4.0) == pytest.approx(expected, rel=1e-8)


def test_mmd_of_one_distribution_is_zero_on_average():
    values = [mmd(*domains(shift=0, seed=seed)) for seed in range(60)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60) and min(values) < 0 < max(values)


def test_the_gap_of_each_class_is_its_mmd_to_the_others():
    x, _ = domains(45)
    y = np.arange(45) % 3
    expected = [slow_mmd(x[y == label], x[y != label], 5.0) for label in range(3)]
    np.testing.assert_allclose(class_mmd(x, y, 5.0), expected, rtol=1e-9, atol=1e-12)


def test_coral_is_the_squared_difference_of_covariances():
    a, b = domains()
    expected = np.linalg.norm(np.cov(a.T) - np.cov(b.T), "fro") ** 2 / (4 * 6**2)
    assert coral(a, b) == pytest.approx(expected, rel=1e-10)


def test_a_distance_runs_from_0_where_domains_are_alike_to_2_where_they_never_meet():
    assert a_distance(*domains(300, 300, shift=0)) < 0.3
    a, b = domains(30, 60, shift=0)
    assert a_distance(a, b + 50) == 2
    assert a_distance(a, np.concatenate([a, a])) == pytest.approx(0, abs=0.5)


def test_a_larger_domain_is_not_guessed():
    a, b = domains(300, 30, shift=0)
    assert a_distance(a, b) < 0.6  # guessing the larger domain would be right in 10 of 11, and give 1.6


@pytest.mark.parametrize("name", GAPS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_rotation_changes_no_gap_and_a_shift_widens_it(name, seed):
    a, b = domains(300, 300, seed=seed)  # so many that the shift shows through chance for every one of these seeds
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))
    gap = GAPS[name]
    two_rows_guessed_otherwise = 8 / 600 if name == "a-distance" else 0
    assert gap(a @ rotation, b @ rotation) == pytest.approx(gap(a, b), rel=1e-6, abs=two_rows_guessed_otherwise)
    assert gap(*domains(300, 300, shift=0, seed=seed)) < gap(a, b)
    if name != "a-distance":
        assert gap(a, b) == pytest.approx(gap(b, a), rel=1e-9)
        assert gap(a, b) < gap(*domains(300, 300, shift=1.2, seed=seed))


@pytest.mark.parametrize("name", GAPS)
def test_broken_domains_are_refused_with_a_sentence(name):
    a, b = domains()
    spoiled = a.copy()
    spoiled[2, 1] = np.inf
    for left, right, sentence in (
        (spoiled, b, "source: 1 of 40 rows hold NaN or infinite"),
        (a, b * 0, "target: all 30 rows are equal"),
        (a, b[:, :3], "The source has 6 features, the target 3"),
        (a[:1], b, "source: found an array of shape"),
    ):
        with pytest.raises(DataError, match=sentence):
            GAPS[name](left, right)
