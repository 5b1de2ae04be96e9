"""Generators and discriminators: sizes, edges, fields of view; images through tiles."""

import pytest
import torch
from torch import nn

from adapters.translate.networks.discriminators import PatchDiscriminator
from adapters.translate.networks.generators import ResNetGenerator, UNetGenerator, make_generator
from adapters.translate.run.views import tiled


@pytest.mark.parametrize("generator", [ResNetGenerator(4, 2), UNetGenerator(4, 3)], ids=["resnet", "unet"])
def test_a_generator_keeps_sizes_and_makes_no_pattern_of_its_own(generator):
    torch.manual_seed(0)
    generator.eval()
    for size in ((32, 32), (2 * generator.stride, 5 * generator.stride)):
        assert generator(torch.rand(1, 3, *size)).shape == (1, 3, *size)
    even = generator(torch.full((1, 3, 32, 32), 0.3))
    assert float((even - even[..., :1, :1]).abs().max()) < 1e-5  # neither a checkerboard nor a rim
    maps = generator.tapped(torch.rand(2, 3, 32, 32))
    assert [one.shape[1] for one in maps] == generator.tapped_channels[: len(maps)]
    assert len(generator.tapped_channels) == len(maps)


def test_generators_grow_with_the_images():
    assert len(make_generator("resnet", 4, 256).blocks) == 9 and len(make_generator("resnet", 4, 128).blocks) == 6
    for side in (32, 64, 128, 256):
        assert make_generator("unet", 4, side).stride * 4 == side


@pytest.mark.parametrize(("layers", "pixels"), [(1, 16), (2, 34), (3, 70)])
def test_a_discriminator_judges_patches_of_so_many_pixels(layers, pixels):
    torch.manual_seed(0)
    judge = PatchDiscriminator(3, 4, layers, spectral=True)  # without norms, which look at the whole image
    images = torch.rand(1, 3, 96, 96, requires_grad=True)
    logits = judge(images)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    seen = images.grad[0].abs().sum(dim=0) > 0
    rows = seen.any(dim=1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == pixels


def test_spectral_weights_stretch_nothing():
    torch.manual_seed(0)
    judge = PatchDiscriminator(3, 4, 2, spectral=True)
    for _ in range(60):
        judge(torch.rand(1, 3, 32, 32))
    judge.eval()
    for layer in judge.layers:
        if isinstance(layer, nn.Conv2d):
            assert float(torch.linalg.matrix_norm(layer.weight.flatten(1), 2)) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("size", [(16, 16), (37, 64), (50, 123), (8, 9)])
def test_tiles_fade_into_one_image(size):
    torch.manual_seed(0)
    images, seen = torch.rand(2, 3, *size), []

    def double(tile: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(tile.shape[-2:]))
        return 2 * tile

    torch.testing.assert_close(tiled(double, images, 32, 8), 2 * images)
    assert all(height % 8 == 0 and width % 8 == 0 and max(height, width) <= 32 for height, width in seen)
    assert (len(seen) == 1) == (max(size) <= 32)


def test_a_predictor_that_sees_near_pixels_alone_gives_the_same_through_tiles():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 70, 90)
    blur = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    through, whole = tiled(blur, images, 32, 4), blur(images)
    inside = (through - whole)[..., 1:-1, 1:-1].abs()
    assert float(inside.mean()) < 0.01 and float(inside.max()) < 0.2
