"""The warping error against motions that are known."""

import numpy as np
import pytest

from studio.metrics.films import occluded, tv_l1, warped, warping_error


def textured(seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).random((height, width))
    smooth = gaussian_filter(noise, 2)
    return (smooth - smooth.min()) / np.ptp(smooth)


def film(step: int = 1, count: int = 3) -> list[np.ndarray]:
    """A texture that moves to the right by `step` pixels a frame, uint8 [3, 40, 50]."""
    wide = textured(0)
    frames = [wide[:, 8 - step * place :][:, :50] for place in range(count)]
    return [np.repeat((frame * 255).astype(np.uint8)[None], 3, axis=0) for frame in frames]


def known(step: int):
    """The flow of that film, whichever way two of its frames are given."""

    def flow(reference: np.ndarray, moving: np.ndarray) -> np.ndarray:
        later = np.abs(reference[:, step:] - moving[:, :-step]).mean() < 1e-6  # the reference came after
        columns = np.full(reference.shape, -step if later else step, float)
        return np.stack([np.zeros_like(columns), columns])

    return flow


def test_a_film_that_moves_with_its_input_is_steady_and_one_that_flickers_is_not() -> None:
    frames = film()
    inverted = [255 - frame for frame in frames]
    rim = 2 / 50  # the column that comes into view is nobody's
    assert warping_error(frames, inverted, known(1)) < rim * 0.05
    flicker = [inverted[0], np.clip(inverted[1].astype(int) + 51, 0, 255).astype(np.uint8), inverted[2]]
    expected = np.mean([((f / 255 - i / 255) ** 2).mean() for f, i in [(flicker[1], inverted[1])]])
    assert warping_error(frames, flicker, known(1)) == pytest.approx(expected, rel=0.2)


def test_a_value_is_taken_from_where_the_flow_points() -> None:
    values = np.random.default_rng(0).random((2, 5, 6))
    flow = np.zeros((2, 5, 6))
    flow[0], flow[1] = 1, -2
    moved = warped(values, flow)
    assert np.allclose(moved[:, :4, 2:], values[:, 1:, :4])


def test_places_whose_way_back_leads_elsewhere_are_left_out() -> None:
    back, forward = np.zeros((2, 8, 8)), np.zeros((2, 8, 8))
    forward[1, :, 4:] = 3
    lost = occluded(forward, back)
    assert lost[:, 5:].all() and not lost[:, :4].any()


def test_tv_l1_finds_a_motion() -> None:
    pytest.importorskip("skimage", reason="the motion needs scikit-image")
    before, after, _ = (frame[0] / 255 for frame in film(2))
    flow = tv_l1(after, before)
    assert np.median(flow[1][:, 5:-5]) == pytest.approx(-2, abs=0.3)
    assert abs(np.median(flow[0])) < 0.2
