"""Losses of translation against slow plain mathematics in float64; the pool; differentiable changes."""

import math

import pytest
import torch
from torch import nn

from adapters.translate.base import Made
from adapters.translate.cyclegan import CycleGan
from adapters.translate.losses.adversarial import fake_loss, fool_loss, r1, real_loss
from adapters.translate.losses.diff_augment import CHANGES, diff_augment
from adapters.translate.losses.patch_nce import Projection, patch_nce, sampled_places
from adapters.translate.losses.pool import ImagePool
from adapters.translate.pix2pix import Pix2Pix
from studio.core.streams import Batch, Step, StreamBatches

LOGITS = [-1.7, 0.0, 0.4, 2.5]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


FORMULAS = {
    "lsgan": (lambda d: (d - 1) ** 2, lambda d: d**2, lambda d: (d - 1) ** 2),
    "hinge": (lambda d: max(0, 1 - d), lambda d: max(0, 1 + d), lambda d: -d),
    "vanilla": (lambda d: -math.log(sigmoid(d)), lambda d: -math.log(1 - sigmoid(d)), lambda d: -math.log(sigmoid(d))),
}


@pytest.mark.parametrize("kind", FORMULAS)
def test_the_contest_is_that_of_the_formulas(kind):
    logits = torch.tensor(LOGITS, dtype=torch.float64)
    for loss, formula in zip((real_loss, fake_loss, fool_loss), FORMULAS[kind], strict=True):
        assert loss(logits, kind).tolist() == pytest.approx([formula(value) for value in LOGITS])


def test_r1_is_the_squared_slope_at_each_image():
    weights = torch.tensor([[0.5, -2.0, 1.0]], dtype=torch.float64)
    plane = nn.Sequential(nn.Flatten(), nn.Linear(3, 1, bias=False))
    plane[1].weight.data = weights
    curved = lambda images: (images**2).flatten(1).sum(1)  # noqa: E731
    images = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, -1.0]], dtype=torch.float64).view(2, 3, 1, 1)
    assert r1(plane, images).tolist() == pytest.approx([float((weights**2).sum())] * 2)
    assert r1(curved, images).tolist() == pytest.approx([4 * 14, 4 * 2])


def test_cyclegan_and_pix2pix_weigh_what_their_formulas_say():
    x, y = torch.rand(2, 2, 3, 4, 4, dtype=torch.float64) * 2 - 1
    there, back = (lambda images: 0.5 * images + 0.1), (lambda images: images - 0.2)
    judge = lambda images: images.mean(1, keepdim=True)  # noqa: E731
    parts = {"generator": there, "generator_back": back, "discriminator": judge, "discriminator_back": judge}
    cyclegan, pix2pix = CycleGan(CycleGan.Params()), Pix2Pix(Pix2Pix.Params())
    for learner in (cyclegan, pix2pix):
        learner.module, learner.made = parts, Made()
    got = cyclegan.generate(StreamBatches(source=Batch(images=x), target=Batch(images=y)), Step(0, 1))
    expected = {
        "fool": ((judge(there(x)) - 1) ** 2).mean(), "fool_back": ((judge(back(y)) - 1) ** 2).mean(),
        "cycle": 10 * (0.5 * x + 0.1 - 0.2 - x).abs().mean(),
        "cycle_back": 10 * (0.5 * (y - 0.2) + 0.1 - y).abs().mean(),
        "identity": 0.5 * 10 * ((there(y) - y).abs().mean() + 0.2),
    }  # fmt: skip
    assert {name: float(value) for name, value in got.items()} == pytest.approx(
        {name: float(value) for name, value in expected.items()}
    )
    got = pix2pix.generate(Batch(images=x, targets=y), Step(0, 1))
    logits = torch.cat([x, there(x)], dim=1).mean(1)
    assert float(got["l1"]) == pytest.approx(100 * float((there(x) - y).abs().mean()))
    assert float(got["fool"]) == pytest.approx(float(torch.log1p(torch.exp(-logits)).mean()))


def test_patch_contrast_knows_each_place_among_the_others_of_its_image():
    torch.manual_seed(0)
    made, source = (
        nn.functional.normalize(torch.randn(2, 5, 4, dtype=torch.float64), dim=-1).requires_grad_() for _ in range(2)
    )
    values = patch_nce(made, source, 0.07)
    for image in range(2):
        for place in range(5):
            powers = [math.exp(float(made[image, place].detach() @ other) / 0.07) for other in source[image].detach()]
            assert float(values[image, place].detach()) == pytest.approx(
                -math.log(powers[place] / sum(powers)), rel=1e-9
            )
    values.sum().backward()
    assert made.grad is not None and source.grad is None


def test_projections_are_unit_vectors_of_the_places_that_were_drawn():
    torch.manual_seed(0)
    maps = [torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)]
    places = sampled_places(maps, 6)
    assert [len(set(chosen.tolist())) for chosen in places] == [6, 4]
    project = Projection([3, 5], width=8)
    vectors = project(maps, places)
    assert [tuple(one.shape) for one in vectors] == [(2, 6, 8), (2, 4, 8)]
    assert all(torch.allclose(one.norm(dim=-1), torch.ones(())) for one in vectors)
    y, x = divmod(int(places[0][0]), 4)
    expected = nn.functional.normalize(project.heads[0](maps[0][1, :, y, x]), dim=-1)
    torch.testing.assert_close(vectors[0][1, 0], expected)


def test_the_pool_fills_up_and_then_hands_out_older_images_half_the_time():
    torch.manual_seed(0)
    pool = ImagePool(4, 2)
    filling = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    assert torch.equal(pool(filling), filling) and int(pool.count) == 4
    given = [float(pool(torch.full((1, 3, 2, 2), float(number)))[0, 0, 0, 0]) for number in range(4, 204)]
    older = sum(value != number for number, value in enumerate(given, start=4))
    assert 70 < older < 130 and len(set(given)) == len(given)  # every image is handed out once at most
    again = ImagePool(4, 2)
    again.load_state_dict(pool.state_dict())
    torch.manual_seed(1)
    one = pool(torch.zeros(3, 3, 2, 2))
    torch.manual_seed(1)
    assert torch.equal(again(torch.zeros(3, 3, 2, 2)), one)
    assert torch.equal(ImagePool(0, 2)(filling), filling)


@pytest.mark.parametrize("policy", ["none", "color", "translation", "cutout", "color+translation+cutout"])
def test_what_the_discriminator_sees_is_changed_and_a_gradient_comes_back(policy):
    torch.manual_seed(0)
    images = torch.rand(3, 6, 16, 16).requires_grad_()
    changed = diff_augment(images, policy)
    assert changed.shape == images.shape and (policy == "none") == torch.equal(changed, images)
    changed.square().sum().backward()
    assert float(images.grad.abs().sum()) > 0


def test_both_images_of_a_pair_are_shifted_and_cut_alike():
    torch.manual_seed(0)
    images = torch.rand(4, 3, 16, 16) + 0.1
    for name in ("translation", "cutout"):
        one, two = CHANGES[name](torch.cat([images, images], dim=1)).chunk(2, dim=1)
        assert torch.equal(one, two)
    cut = (CHANGES["cutout"](images)[:, 0] == 0).float().mean(dim=(1, 2))
    assert (cut <= 0.25).all() and (cut > 0).all()
