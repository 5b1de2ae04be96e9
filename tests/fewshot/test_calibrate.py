"""Calibration on the support set: left-out photos are really left out, the unfamiliar is told from the known."""

import numpy as np
import pytest
import torch

from fewshot.calibrate import (
    best_cut,
    calibrate,
    class_means,
    familiarity,
    fit_temperature,
    left_out_scores,
    unknown_threshold,
)
from fewshot.heads.prototypes import Prototypes
from fewshot.heads.ridge import Ridge
from fewshot.predictor import support_scores
from fewshot.support import SupportSet


def classes_at(centers: torch.Tensor, count: int, spread: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(centers)).repeat_interleave(count)
    noise = torch.randn(len(labels), centers.shape[1], generator=generator)
    return centers[labels] + spread * noise, labels


@pytest.mark.parametrize("head", [Prototypes(), Ridge()])
@pytest.mark.parametrize("count", [3, 40])
def test_a_photo_is_scored_by_the_others_alone(head, count):
    features, labels = classes_at(3 * torch.eye(4, 12), count, 1.0)
    features, labels = torch.cat([features, features[:1] + 9]), torch.cat([labels, torch.tensor([4])])
    scores, truth = left_out_scores(head, features, labels, 5)
    assert len(scores) == 4 * count and (truth != 4).all()  # the single photo of class 4 can't be left out
    if count == 3:
        for at, number in enumerate(labels[:-1].argsort(stable=True).tolist()):
            others = torch.arange(len(labels)) != number
            alone = support_scores(head, features[others], labels[others], features[number : number + 1], 5)[0]
            torch.testing.assert_close(scores[at], alone, rtol=1e-4, atol=1e-4)


def test_memorised_noise_is_not_believed():
    """Features without any class in them: with itself a photo is sure of itself, without it is not."""
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(60, 200, generator=generator), torch.arange(3).repeat(20)
    scores, truth = left_out_scores(Ridge(), features, labels, 3)
    assert abs(float((scores.argmax(1) == truth).float().mean()) - 1 / 3) < 0.2
    within = support_scores(Ridge(), features, labels, features, 3)
    assert (within.argmax(1) == labels).float().mean() > 0.9


def test_the_temperature_is_the_true_one():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20_000, 4, generator=generator)
    labels = torch.multinomial((logits / 3).softmax(1), 1, generator=generator).squeeze(1)
    assert fit_temperature(logits, labels) == pytest.approx(3, rel=0.1)


def test_a_support_set_without_mistakes_does_not_make_answers_certain():
    scores = 100 * torch.eye(3).repeat(4, 1)
    labels = torch.arange(3).repeat(4)
    sure = (scores / fit_temperature(scores, labels)).softmax(1).amax(1)
    assert 0.85 < float(sure.mean()) < 0.97  # twelve right answers: 13/14


def test_what_is_like_no_class_is_unknown():
    centers = 4 * torch.eye(6, 20)
    features, labels = classes_at(centers[:4], 10, 0.7)
    threshold = unknown_threshold(features, labels, 4)
    means = class_means(features, labels, 4)
    known = familiarity(classes_at(centers[:4], 50, 0.7, seed=1)[0], means)
    strange = familiarity(classes_at(centers[4:], 50, 0.7, seed=2)[0], means)
    assert (known >= threshold).float().mean() > 0.85
    assert (strange < threshold).float().mean() > 0.85


def test_the_cut_rejects_few_of_the_known():
    known, unknown = np.linspace(0, 1, 101), np.linspace(0.5, 1, 101)
    assert (known < best_cut(known, unknown)).mean() <= 0.1
    assert best_cut(np.array([0.8, 0.9]), np.array([0.1, 0.2])) == pytest.approx(0.5)


@pytest.mark.parametrize(("ways", "count", "told"), [(4, 1, False), (2, 5, True), (3, 2, True)])
def test_small_support_sets_are_calibrated_as_far_as_they_go(ways, count, told):
    features, labels = classes_at(3 * torch.eye(ways, 12), count, 1.0)
    names = [f"{i}" for i in range(len(labels))]
    support = SupportSet.empty(12).with_photos(features.numpy(), [f"class{c}" for c in labels], names, [])
    found = calibrate(Prototypes(), support)
    assert (found.unknown_below is not None) == told
    assert np.isfinite(found.temperature) and found.temperature > 0
