"""From image to input: timm's transform to within rounding, the same crops from the same state."""

import numpy as np
import pytest
import torch
from PIL import Image

from studio.data import transforms
from studio.data.preprocess import Preprocess
from studio.data.transforms import Inputs, augment, normalize, to_input

ROUNDING = 2.0  # of 255: two passes over bytes


def smooth(width, height, seed=0):
    cells = np.random.default_rng(seed).integers(0, 256, (9, 11, 3), np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("crop_pct", [0.875, 0.95, 1.0])
@pytest.mark.parametrize(("width", "height"), [(280, 180), (90, 301), (64, 64), (40, 31), (73, 1200)])
def test_input_is_timms_to_within_rounding(width, height, crop_pct, interpolation):
    from timm.data import create_transform

    preprocess = Preprocess(64, crop_pct, interpolation, mean=(0.1, 0.2, 0.3), std=(0.2, 0.3, 0.4))
    options = {"mean": preprocess.mean, "std": preprocess.std, "crop_pct": crop_pct, "interpolation": interpolation}
    expected = create_transform((3, 64, 64), **options)(smooth(width, height))
    ours = normalize(to_input(smooth(width, height), preprocess)[None], preprocess)[0]
    levels = (ours - expected).abs() * torch.tensor(preprocess.std).view(3, 1, 1) * 255
    far = (levels > ROUNDING + 1e-3).float().mean()
    assert far == 0 or (interpolation == "nearest" and far < 0.05)  # half way between two pixels either is nearest


@pytest.mark.parametrize("preprocess", [Preprocess(24), Preprocess(24, squash=True), Preprocess(24, 1.0, "bilinear")])
def test_many_inputs_are_those_of_each_image_alone(preprocess, monkeypatch):
    monkeypatch.setattr(transforms, "TOGETHER_BYTES", 3 * 3 * 24 * 30)
    images = [smooth(*size, seed) for seed, size in enumerate([(24, 30)] * 5 + [(24, 24), (31, 24)] * 2)]
    inputs = Inputs(preprocess)
    for image in images:
        inputs.add(np.array(image))
    assert torch.equal(inputs.tensor(), torch.stack([to_input(image, preprocess) for image in images]))
    assert Inputs(preprocess).tensor().shape == (0, 3, 24, 24)


def test_squashing_keeps_everything_in_view():
    image = Image.new("RGB", (200, 50), "white")
    image.paste("red", (0, 0, 10, 50))
    shown = to_input(image, Preprocess(40, squash=True))
    assert shown.shape == (3, 40, 40) and shown[1, :, 0].max() < 40 and shown[1, :, -1].min() == 255


def test_a_margin_is_more_of_the_image_around_the_same_view():
    preprocess = Preprocess(64, 0.8)
    plain, wide = to_input(smooth(300, 200), preprocess), to_input(smooth(300, 200), preprocess, margin=1.25)
    assert wide.shape == (3, 80, 80) and torch.equal(wide[:, 8:72, 8:72], plain)


def test_normalising_bytes_is_the_textbook_formula():
    preprocess = Preprocess(8)
    batch = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    mean, std = (torch.tensor(values).double().view(3, 1, 1) for values in (preprocess.mean, preprocess.std))
    found = normalize(batch, preprocess)
    assert found.dtype == torch.float32 and found.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(found.double(), (batch.double() / 255 - mean) / std, atol=1e-6)
    assert torch.equal(normalize(batch.float(), preprocess), found)


def test_augmentation_is_a_function_of_its_generator():
    batch, preprocess = torch.randint(0, 256, (4, 3, 20, 20), dtype=torch.uint8), Preprocess(16)
    one, two, other = (augment(batch, preprocess, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other) and one.shape == (4, 3, 16, 16)
    draw = torch.Generator().manual_seed(3)
    augment(batch, preprocess, draw)
    state = draw.get_state()
    after = augment(batch, preprocess, draw)
    assert torch.equal(augment(batch, preprocess, torch.Generator().set_state(state)), after)


def test_crops_lie_in_the_image_and_keep_the_share_that_was_asked_for():
    side = 100
    ramp = torch.arange(side, dtype=torch.uint8)
    across = torch.stack([ramp.expand(side, side), ramp.view(-1, 1).expand(side, side), torch.zeros(side, side)])
    batch = across.to(torch.uint8).expand(400, 3, side, side)
    preprocess = Preprocess(50, mean=(0.0, 0.0, 0.0), std=(1 / 255,) * 3)
    crops = augment(batch, preprocess, torch.Generator().manual_seed(0), smallest=0.5, mirror=False)
    width = (crops[:, 0, 0, -1] - crops[:, 0, 0, 0]) * 50 / 49
    height = (crops[:, 1, -1, 0] - crops[:, 1, 0, 0]) * 50 / 49
    share = width * height / side**2
    assert (width > 0).all() and share.min() > 0.4 and share.max() <= 1.05 and share.std() > 0.05
    centres = crops[:, 0].mean((1, 2))
    assert abs(float(centres.mean()) - 49.5) < 1.5 and centres.std() > 2
    mirrored = augment(batch, preprocess, torch.Generator().manual_seed(0), smallest=0.5)
    turned = (mirrored[:, 0, 0, -1] < mirrored[:, 0, 0, 0]).float().mean()
    assert 0.4 < turned < 0.6
