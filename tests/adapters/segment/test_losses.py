"""Each loss is that of slow float64 sums, ignores void, and does not depend on how a batch is cut."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.segment.losses import LOSSES, loss_of, median_frequency
from studio.data.masks.class_map import VOID


def problem(seed: int, classes: int = 4, images: int = 3):
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(images, classes, 5, 6, generator=draw, dtype=torch.float64) * 2
    truth = torch.randint(0, classes, (images, 5, 6), generator=draw)
    truth[torch.rand(truth.shape, generator=draw) < 0.2] = VOID
    return logits, truth


def slow(name: str, logits: torch.Tensor, truth: torch.Tensor) -> list[float]:
    """The loss of each image, pixel by pixel."""
    found = []
    for scores, labels in zip(logits.numpy(), truth.numpy(), strict=True):
        powers = np.exp(scores - scores.max(axis=0))
        p = powers / powers.sum(axis=0)
        known = [(int(labels[y, x]), p[:, y, x]) for y, x in np.ndindex(labels.shape) if labels[y, x] != VOID]
        entropy = [-math.log(row[label]) for label, row in known]
        if name == "cross-entropy":
            found.append(sum(entropy) / labels.size)
        elif name == "focal":
            found.append(sum((1 - row[label]) ** 2 * -math.log(row[label]) for label, row in known) / labels.size)
        elif name == "ohem":
            least = max(1, round(labels.size / 16))
            border = min(sorted(entropy, reverse=True)[least - 1], -math.log(0.7))
            hard = [value for value in entropy if value >= border]
            found.append(sum(hard) / len(hard))
        else:
            terms = []
            for label in sorted({label for label, _ in known}):
                inside = np.array([float(real == label) for real, _ in known])
                said = np.array([row[label] for _, row in known])
                terms.append(dice(inside, said) if name == "dice" else lovasz(inside, said))
            found.append(sum(terms) / len(terms))
    return found


def dice(inside: np.ndarray, said: np.ndarray) -> float:
    return 1 - (2 * (inside * said).sum() + 1) / (inside.sum() + said.sum() + 1)


def lovasz(inside: np.ndarray, said: np.ndarray) -> float:
    """By the definition: errors in falling order, each times what adding its pixel to the wrong ones costs in IoU."""
    errors = np.abs(inside - said)
    order = np.argsort(-errors, kind="stable")
    wrong, before, total = np.zeros(len(errors), bool), 0.0, 0.0
    for pixel in order:
        wrong[pixel] = True
        missed, added = (wrong & (inside == 1)).sum(), (wrong & (inside == 0)).sum()
        cost = 1 - (inside.sum() - missed) / (inside.sum() + added)
        total += errors[pixel] * (cost - before)
        before = cost
    return total


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_loss_is_that_of_slow_sums(name, seed):
    logits, truth = problem(seed)
    np.testing.assert_allclose(LOSSES[name](logits, truth, None).numpy(), slow(name, logits, truth), rtol=1e-9)


@pytest.mark.parametrize("name", [*LOSSES, "cross-entropy+dice"])
def test_void_pixels_get_no_gradient_and_parts_of_a_batch_add_up(name):
    logits, truth = problem(3)
    logits = logits.float().requires_grad_()
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0])
    whole = sum(loss_of(name, logits, truth.to(torch.uint8), weights).values())
    parts = [sum(loss_of(name, logits[i : i + 1], truth[i : i + 1], weights).values()) / 3 for i in range(3)]
    torch.testing.assert_close(whole, sum(parts))
    whole.backward()
    void = (truth == VOID).unsqueeze(1).expand_as(logits)
    assert logits.grad is not None and (logits.grad[void] == 0).all() and (logits.grad[~void] != 0).any()


def test_median_frequency_weighs_rare_classes_up():
    pixels = torch.tensor([[60, 40, 0], [90, 0, 10]])
    frequency = torch.tensor([150 / 200, 40 / 100, 10 / 100])  # each among the images that it is in
    torch.testing.assert_close(median_frequency(pixels), 0.4 / frequency)
    assert median_frequency(torch.tensor([[5, 5, 0]]))[2] == 0
