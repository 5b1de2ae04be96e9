"""Colour and light: each look against its formula in float64, pixel by pixel where that is plain."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from studio.data.looks.fda import fda, half_width, low_amplitudes, with_low_amplitudes
from studio.data.looks.fog import AIR, fog
from studio.data.looks.histogram import histogram, match_histogram
from studio.data.looks.mean_variance import match_mean_variance, statistics
from studio.data.looks.night import night, scotopic
from studio.data.looks.rain import drawn_drops, line, rain, streaks
from studio.data.looks.reinhard import axis_statistics, from_axes, reinhard, to_axes
from studio.data.looks.restyle import MATCHINGS, RENDERINGS, Restyle
from studio.data.looks.sketch import sketch


def image(seed: int, height: int = 14, width: int = 18) -> torch.Tensor:
    pixels = np.random.default_rng(seed).beta(2, 2 + seed, (3, height, width))
    return torch.from_numpy(pixels)


def test_mean_and_variance_become_those_of_all_pixels_of_the_others() -> None:
    others = [image(1), image(2, 9, 11)]
    pixels = np.concatenate([other.numpy().reshape(3, -1) for other in others], axis=1)
    matched = match_mean_variance(image(0), *statistics(others)).numpy().reshape(3, -1)
    assert np.allclose(matched.mean(1), pixels.mean(1))
    assert np.allclose(matched.std(1), pixels.std(1))


def test_an_image_of_one_colour_gets_the_mean_and_no_noise() -> None:
    mean, deviation = statistics([image(1)])
    matched = match_mean_variance(torch.full((3, 4, 4), 0.3, dtype=torch.float64), mean, deviation)
    assert torch.allclose(matched, mean.view(3, 1, 1).expand(3, 4, 4))


def test_histogram_matching_is_that_of_scikit_image() -> None:
    exposure = pytest.importorskip("skimage.exposure")
    source, other = ((image(seed) * 255).round().to(torch.uint8) for seed in (0, 3))
    expected = exposure.match_histograms(source.numpy(), other.numpy(), channel_axis=0)
    matched = match_histogram(source.double() / 255, histogram([other.double() / 255])) * 255
    assert np.abs(matched.numpy() - expected).max() <= 1  # theirs is cut to whole levels


def test_histogram_matching_makes_an_image_equal_to_itself_shuffled() -> None:
    source = (image(0) * 255).round() / 255
    shuffled = source.flatten(1).flip(1).reshape(source.shape)
    assert torch.allclose(match_histogram(source, histogram([shuffled])), source)


def test_reinhard_goes_to_its_axes_and_back() -> None:
    source = image(0).clamp_min(0.05)
    assert torch.allclose(from_axes(to_axes(source)), source)


def test_reinhard_gives_one_pixel_what_the_equations_say() -> None:
    red, green, blue = 0.5, 0.3, 0.2
    long, medium, short = (
        math.log10(0.3811 * red + 0.5783 * green + 0.0402 * blue),
        math.log10(0.1967 * red + 0.7244 * green + 0.0782 * blue),
        math.log10(0.0241 * red + 0.1288 * green + 0.8444 * blue),
    )
    expected = [
        (long + medium + short) / math.sqrt(3),
        (long + medium - 2 * short) / math.sqrt(6),
        (long - medium) / math.sqrt(2),
    ]
    axes = to_axes(torch.tensor([red, green, blue], dtype=torch.float64).view(3, 1, 1))
    assert axes.flatten().tolist() == pytest.approx(expected)


def test_reinhard_has_the_statistics_of_the_others_along_its_axes() -> None:
    mean, deviation = axis_statistics([image(2).clamp_min(0.05)])
    got = axis_statistics([reinhard(image(0).clamp_min(0.05), mean, deviation)])
    assert torch.allclose(got[0], mean, atol=1e-2)  # below the darkest value the logarithm is cut
    assert torch.allclose(got[1], deviation, rtol=0.05)


def test_fda_swaps_low_amplitudes_and_keeps_phases() -> None:
    """Frequency by frequency, with a discrete Fourier transform written out."""
    source, target, beta = image(0)[:1], image(1)[:1], 0.15
    got, half = fda(source, target, beta), half_width((14, 18), beta)
    assert half == 2
    rows, columns = (np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) for n in (14, 18))
    own, other = (rows @ part[0].numpy() @ columns for part in (source, target))
    for y in range(14):
        for x in range(18):
            if min(y, 14 - y) <= half and min(x, 18 - x) <= half:
                own[y, x] = abs(other[y, x]) * np.exp(1j * np.angle(own[y, x]))
    expected = (rows.conj() @ own @ columns.conj()).real / (14 * 18)
    assert np.allclose(got[0].numpy(), expected)


def test_fda_with_its_own_amplitudes_changes_nothing_at_any_size() -> None:
    for size in ((14, 18), (15, 17)):
        source = image(0, *size)
        assert torch.allclose(with_low_amplitudes(source, low_amplitudes(source, 3)), source)


def test_amplitudes_serve_images_of_another_size() -> None:
    flat = torch.full((3, 40, 30), 0.25, dtype=torch.float64)
    got = with_low_amplitudes(image(0), low_amplitudes(flat, 0))
    assert torch.allclose(got.mean((1, 2)), torch.full((3,), 0.25, dtype=torch.float64))


def test_fog_is_koschmieders_law() -> None:
    source, depth = image(0), torch.rand(14, 18, generator=torch.Generator().manual_seed(0)).double()
    got = fog(source, 1.7, depth)
    through = math.exp(-1.7 * float(depth[3, 5]))
    for channel in range(3):
        expected = float(source[channel, 3, 5]) * through + AIR[channel] * (1 - through)
        assert float(got[channel, 3, 5]) == pytest.approx(expected)
    assert torch.allclose(fog(source, 0.0), source)


def test_night_is_thompsons_blue_shift() -> None:
    colour = torch.tensor([0.6, 0.4, 0.2], dtype=torch.float64).view(3, 1, 1)
    light = [channel**2.2 for channel in (0.6, 0.4, 0.2)]
    x = 0.4124 * light[0] + 0.3576 * light[1] + 0.1805 * light[2]
    y = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2]
    z = 0.0193 * light[0] + 0.1192 * light[1] + 0.9505 * light[2]
    rods = y * (1.33 * (1 + (y + z) / x) - 1.68)
    assert float(scotopic(colour**2.2)) == pytest.approx(rods)
    expected = [
        (0.1 * (0.25 * own + 0.75 * rods * tint)) ** (1 / 2.2)
        for own, tint in zip(light, (1.05, 0.97, 1.27), strict=True)
    ]
    assert night(colour, 0.1, 0.75).flatten().tolist() == pytest.approx(expected)


def test_rain_covers_by_its_streaks_alone() -> None:
    drops = torch.zeros(14, 18, dtype=torch.float64)
    drops[7, 9] = 0.5
    cover = streaks(drops, 0.0, 5)
    assert cover.nonzero().tolist() == [[row, 9] for row in range(5, 10)]
    got, source = rain(image(0), drops, 0.0, 5, density=0.0), image(0)
    assert torch.allclose(got, source * (1 - cover) + 0.9 * cover)
    assert line(math.pi / 2, 5)[2].tolist() == [1] * 5


def test_a_sketch_is_the_difference_of_two_blurs_through_a_soft_threshold() -> None:
    source, sigma, sharpness = image(0), 1.1, 25.0
    grey = np.tensordot([0.299, 0.587, 0.114], source.numpy(), 1)
    near, far = (
        gaussian_filter(grey, width, mode="mirror", radius=max(1, round(3 * width))) for width in (sigma, 1.6 * sigma)
    )
    edges = sharpness * (near - far)
    expected = np.where(edges >= -0.3, 1.0, 1 + np.tanh(10 * (edges + 0.3)))
    got = sketch(source, sigma, sharpness)
    assert torch.allclose(got, torch.from_numpy(expected).expand(3, -1, -1))
    assert 0.02 < float((got < 0.5).float().mean()) < 0.5
    assert (sketch(torch.full((3, 9, 9), 0.1)) == 1).all()  # a dark area is paper


@pytest.mark.parametrize("kind", [*MATCHINGS, *RENDERINGS])
def test_restyling_keeps_places_and_the_same_draw_gives_the_same_images(kind: str) -> None:
    images = torch.stack([(image(seed) * 255).to(torch.uint8) for seed in range(12)])
    restyle = Restyle(kind, 0.5, [(image(7, 10, 12) * 255).to(torch.uint8)])
    first, again = (restyle(images, torch.Generator().manual_seed(3)) for _ in range(2))
    changed = (first != images).flatten(1).any(1)
    assert first.shape == images.shape and first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert 0 < changed.sum() < 12
    assert (Restyle(kind, 0.0, restyle.references)(images, torch.Generator()) == images).all()


def test_drops_are_as_many_as_asked() -> None:
    drops = drawn_drops(100, 100, 0.1, torch.Generator().manual_seed(0))
    assert 800 < int((drops > 0).sum()) < 1200
