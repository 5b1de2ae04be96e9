"""Each part of a method across domains beside its formula in float64, slowly."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.align.deep.run.collapse import spread
from adapters.segment.domains.class_mix import half_of_classes, laid_over
from adapters.segment.domains.colours import Colours
from adapters.segment.domains.daformer import feature_distance, pure_places, warmed
from adapters.segment.domains.entropy import entropy_map, robust_entropy, self_information
from adapters.segment.domains.mean_teacher import weighted_cross_entropy
from adapters.segment.domains.mic import shown_blocks
from adapters.segment.domains.style_random import divergence, moved_style
from adapters.segment.domains.two_resolutions import cut, some_window
from studio.core.streams import Step
from studio.data.masks.class_map import VOID
from studio.data.preprocess import Preprocess


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def places(*sides: int):
    return itertools.product(*map(range, sides))


def probabilities(logits: torch.Tensor, b: int, y: int, x: int) -> np.ndarray:
    values = logits[b, :, y, x].double().numpy()
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def test_self_information_and_its_sum_are_those_of_each_pixel():
    logits = drawn(2, 4, 3, 5)
    parts, whole = self_information(logits), entropy_map(logits)
    for b, y, x in places(2, 3, 5):
        p = probabilities(logits, b, y, x)
        wanted = [-float(one) * math.log(one) / math.log(4) for one in p]
        np.testing.assert_allclose(parts[b, :, y, x].numpy(), wanted, rtol=1e-5)
        assert float(whole[b, y, x]) == pytest.approx(sum(wanted), rel=1e-5)
    assert entropy_map(torch.zeros(1, 7, 1, 1)).item() == pytest.approx(1)


def test_the_robust_entropy_is_charbonniers():
    logits = drawn(2, 3, 2, 2, seed=1)
    for b in range(2):
        terms = []
        for y, x in places(2, 2):
            p = probabilities(logits, b, y, x)
            entropy = -sum(one * math.log(one) for one in p) / math.log(3)
            terms.append((entropy**2 + 0.001**2) ** 2.0)
        assert float(robust_entropy(logits, 2.0)[b]) == pytest.approx(np.mean(terms), rel=1e-5)


def test_weighted_cross_entropy_is_a_mean_over_all_pixels():
    logits, weights = drawn(2, 3, 4, 4), drawn(2, 4, 4, seed=3).abs()
    labels = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    labels[0, 0] = VOID
    for b in range(2):
        total = sum(
            -float(weights[b, y, x]) * math.log(probabilities(logits, b, y, x)[labels[b, y, x]])
            for y, x in places(4, 4)
            if labels[b, y, x] != VOID
        )
        assert float(weighted_cross_entropy(logits, labels, weights)[b]) == pytest.approx(total / 16, rel=1e-5)


def test_features_are_held_at_the_places_of_one_class():
    features, before = drawn(2, 5, 2, 2), drawn(2, 5, 2, 2, seed=1)
    masks = torch.zeros(2, 4, 4, dtype=torch.uint8)
    masks[0, :2, :2] = 1
    masks[0, 0, 2] = 1  # the place beside has three pixels of class 0: 75 %, pure
    masks[0, 2, 0:2] = 1  # this one has two of four
    masks[1] = VOID
    wanted = {None: [(0, 0), (0, 1), (1, 1)], (1,): [(0, 0)]}
    for held, counted in wanted.items():
        found = feature_distance(features, before, masks, held)
        distances = [float((features[0, :, y, x] - before[0, :, y, x]).square().sum().sqrt()) for y, x in counted]
        assert float(found[0]) == pytest.approx(np.mean(distances), rel=1e-5) and float(found[1]) == 0
    assert pure_places(masks, (2, 2), None)[0].tolist() == [[1, 1], [0, 1]]


def test_the_learning_rate_warms_up_and_falls_evenly_to_nothing():
    factors = [warmed(Step(step, 100), 0.1) for step in range(100)]
    assert factors[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11]) and max(factors) == factors[10] == 1
    np.testing.assert_allclose(np.diff(factors[10:]), -1 / 90)


def test_predictions_apart_are_measured_by_jensen_and_shannon():
    one, two = drawn(1, 3, 2, 2), drawn(1, 3, 2, 2, seed=1)
    terms = []
    for y, x in places(2, 2):
        p, q = (probabilities(logits, 0, y, x) for logits in (one, two))
        middle = (p + q) / 2
        terms.append(((p * np.log(p / middle)).sum() + (q * np.log(q / middle)).sum()) / 2)
    assert float(divergence(one, two)) == pytest.approx(np.mean(terms), rel=1e-5)
    assert float(divergence(one, one)) == pytest.approx(0, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 3, 7, VOID]), min_size=1, max_size=12), st.integers(0, 99))
def test_class_mix_takes_whole_classes_the_larger_half_and_never_void(pixels, seed):
    torch.manual_seed(seed)
    mask = torch.tensor(pixels, dtype=torch.uint8).view(1, 1, -1)
    chosen = half_of_classes(mask)
    present = set(pixels) - {VOID}
    taken = set(mask[chosen].tolist())
    assert len(taken) == math.ceil(len(present) / 2) and VOID not in taken
    assert set(mask[~chosen].tolist()) & taken == set()
    target = torch.full_like(mask, 9)
    mixed = laid_over(chosen, mask, target)
    assert (mixed[chosen] == mask[chosen]).all() and (mixed[~chosen] == 9).all()
    images = laid_over(chosen, torch.ones(1, 3, *mask.shape[1:]), torch.zeros(1, 3, *mask.shape[1:]))
    assert torch.equal(images[:, 0] == 1, chosen)


def test_blocks_are_hidden_whole_and_as_often_as_asked():
    torch.manual_seed(0)
    shown = shown_blocks(torch.zeros(40, 3, 50, 40), 16, 0.7)
    assert shown.shape == (40, 1, 50, 40)
    blocks = shown[:, :, ::16, ::16]
    assert float(blocks.mean()) == pytest.approx(0.3, abs=0.05)
    torch.testing.assert_close(blocks.repeat_interleave(16, 2).repeat_interleave(16, 3)[..., :50, :40], shown)
    assert (
        shown_blocks(torch.zeros(1, 3, 8, 8), 4, 0.0).all() and not shown_blocks(torch.zeros(1, 3, 8, 8), 4, 1.0).any()
    )


def test_colours_go_to_the_screen_and_back_and_a_disturbed_image_stays_in_place():
    colours = Colours(Preprocess(16))
    images = colours.normalized(torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(colours.normalized(colours.shown(images)), images)
    edge = colours.normalized(torch.cat([torch.zeros(4, 3, 16, 8), torch.ones(4, 3, 16, 8)], dim=3))
    torch.manual_seed(0)
    seen = colours.shown(colours.disturbed(edge)).mean((1, 2))
    assert (seen[:, 9:].mean(1) > seen[:, :7].mean(1)).all() and (seen >= -1e-6).all() and (seen <= 1 + 1e-6).all()


def test_a_style_of_no_strength_is_none_and_others_differ():
    torch.manual_seed(0)
    images = torch.rand(3, 3, 8, 8)
    assert moved_style(images, 0.0) is images
    assert (moved_style(images, 1.0) - images).abs().amax((1, 2, 3)).min() > 0.01


def test_a_detail_window_is_half_the_image_and_inside():
    torch.manual_seed(0)
    for _ in range(20):
        top, left, height, width = some_window(torch.zeros(1, 3, 64, 96))
        assert (height, width) == (32, 48) and top % 8 == left % 8 == 0 and top <= 32 and left <= 48
        assert cut(torch.zeros(1, 3, 64, 96), (top, left, height, width)).shape[-2:] == (32, 48)


def test_the_spread_of_pixels_says_over_how_many_classes_they_are():
    assert spread(np.array([5, 5, 0, 5])) == pytest.approx(3) and spread(np.array([9, 0])) == 1
