"""Images and maps move together; windows cover; views are averaged; splits name what does not fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import scenes, small
from torch import nn
from torchvision.tv_tensors import Image, Mask

from adapters.segment.data.batches import MaskBatches, chances
from adapters.segment.data.decoded import canvas
from adapters.segment.data.packed import PackedByRow, PackedMaps, pack
from adapters.segment.data.splits import resolve_mask_splits
from adapters.segment.data.transforms import cropped, mirrored, window, window_of_class
from adapters.segment.run.views import Look, enlarged_maps, places, probabilities
from adapters.segment.task import SegmentData, SegmentTrain
from studio.core.errors import DataError
from studio.data.looks.restyle import Restyle
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize


def test_a_crop_shows_the_same_pixels_of_image_and_map():
    labels = torch.arange(16).reshape(4, 4).repeat_interleave(8, 0).repeat_interleave(8, 1).to(torch.uint8)
    image = Image((labels * 10)[None].repeat(3, 1, 1))
    pixels, truth = cropped(image, Mask(labels), (4, 8, 16), 32)
    assert pixels.shape == (3, 32, 32) and truth.shape == (32, 32) and truth.dtype == torch.uint8
    exact = (pixels[0].float() / 10 - truth.float()).abs() < 0.05
    assert exact.float().mean() > 0.7  # but for the edges, which an image blurs and a map must not
    assert set(truth.unique().tolist()) <= set(range(16))
    flipped, turned = mirrored(pixels, truth)
    assert torch.equal(flipped.flip(-1), pixels) and torch.equal(turned.flip(-1), truth)


@settings(max_examples=60, deadline=None)
@given(st.integers(16, 90), st.integers(16, 90), st.integers(8, 64), st.floats(1, 4), st.integers(0, 99))
def test_a_window_lies_inside_and_its_zoom_within_bounds(height, width, side, zoom, seed):
    top, left, length = window((height, width), side, zoom, torch.Generator().manual_seed(seed))
    assert 0 <= top <= height - length and 0 <= left <= width - length
    assert length >= min(side / zoom, min(height, width)) - 1 and length <= side * zoom + 1


def test_a_rare_class_is_in_its_crop_and_shown_more_often():
    mask = torch.zeros(64, 64, dtype=torch.uint8)
    mask[50:56, 50:56] = 1
    draw = torch.Generator().manual_seed(0)
    hits = 0
    for _ in range(20):
        top, left, side = window_of_class(mask, 1, 32, 1.0, draw)
        hits += bool((mask[top : top + side, left : left + side] == 1).any())
    assert hits >= 14  # a window anywhere meets it in a sixth of all cases
    odds = chances(np.array([900, 90, 10, 0]), 0.5)
    assert odds[0] < odds[1] < odds[2] and odds[3] == 0 and odds.sum() == pytest.approx(1)
    expected = np.exp([(1 - f) / 0.5 for f in (0.9, 0.09, 0.01)])
    np.testing.assert_allclose(odds[:3], expected / expected.sum())


@pytest.mark.parametrize("rare", [0.0, 0.1])
def test_a_batch_is_a_function_of_its_step(rare):
    settings_ = SegmentTrain(batch_size=2, rare_classes=rare)
    one, two = (MaskBatches(scenes(), Preprocess(32), settings_) for _ in range(2))
    for step in (5, 0):
        first, second = one.batch(step), two.batch(step)
        assert torch.equal(first.images, second.images) and torch.equal(first.masks, second.masks)
    assert first.images.shape == (2, 3, 32, 32) and first.masks.dtype == torch.uint8
    assert not torch.equal(one.batch(1).images, one.batch(2).images)


def test_masks_keep_their_places_in_another_look():
    restyle = Restyle("night", 1.0)
    plain, dark = (
        MaskBatches(scenes(), Preprocess(32), SegmentTrain(augment="crop", batch_size=2), look).batch(0)
        for look in (None, restyle)
    )
    assert torch.equal(plain.masks[0], dark.masks[0])
    assert dark.images[0].mean() < plain.images[0].mean() - 0.2


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 360), (352, 256)), ((100, 100), (256, 256)), ((10, 1000), (256, 1024))]
)
def test_a_canvas_keeps_the_shape_in_multiples_of_32(size, expected):
    assert canvas(size, 256) == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(32, 200), st.integers(32, 200))
def test_windows_cover_all(height, width):
    hits = np.zeros((height, width), int)
    for rows, columns in places(height, 32, width):
        for top, left in zip(rows, columns, strict=True):
            assert top + 32 <= height and left + 32 <= width
            hits[top : top + 32, left : left + 32] += 1
    assert hits.min() >= 1


class Pixelwise(nn.Module):
    """Logits that depend on a pixel alone: the same however an image is looked at."""

    any_size = True

    def predict(self, images):
        return torch.stack([images[:, 0], images[:, 1], images[:, 2]], dim=1)


def test_windows_and_mirrors_of_a_pixelwise_network_give_what_one_look_gives():
    pixels = torch.randint(0, 255, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    preprocess, look = Preprocess(32), Look(64)
    expected = probabilities(Pixelwise(), pixels, preprocess, look)
    torch.testing.assert_close(expected, normalize(pixels, preprocess).softmax(1).contiguous())
    for other in (replace(look, slide=True), replace(look, mirror=True)):
        torch.testing.assert_close(probabilities(Pixelwise(), pixels, preprocess, other), expected)
    several = probabilities(Pixelwise(), pixels, preprocess, replace(look, scales=(1.0, 1.5)))
    assert several.shape == expected.shape
    torch.testing.assert_close(several.sum(1), torch.ones(2, 64, 96))


def test_a_network_of_one_size_slides_over_what_is_larger():
    learner = small("segment/linear", "timm/test_vit?random")
    side = learner.module.maps.backbone.image_size
    learner.train_mode(False)
    pixels = torch.randint(0, 255, (1, 3, side, 2 * side), dtype=torch.uint8)
    with torch.inference_mode():
        found = probabilities(learner, pixels, Preprocess(side), Look(side))
    assert found.shape == (1, 3, side, 2 * side)


def test_a_map_made_by_strips_is_that_of_one_call(monkeypatch):
    found = torch.rand(1, 4, 20, 30, generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.interpolate(found, (47, 71), mode="bilinear")
    monkeypatch.setattr("adapters.segment.run.views.STRIP", 4 * 71 * 10)
    mask, sure = enlarged_maps(found, [(71, 47)])[0]
    np.testing.assert_array_equal(mask, expected[0].argmax(0).numpy())
    np.testing.assert_allclose(sure, expected[0].amax(0).numpy(), atol=1e-3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"train": "builtin:scenes?images=4"}, "has no masks"),
        ({"train": "builtin:digits?per_class=2"}, "has no masks"),
        ({"train": "builtin:scenes?images=1&truth=masks"}, "too few images"),
        (
            {"train": "builtin:scenes?images=4&classes=2&truth=masks", "val": "builtin:scenes?images=2&truth=masks"},
            "has the class '2', which train has not",
        ),
    ],
)
def test_data_that_teach_no_masks_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        resolve_mask_splits(SegmentData(**data), 0)


def test_splits_keep_train_s_class_indices_and_say_of_leaks():
    same = "builtin:scenes?images=4&classes=2&truth=masks"
    splits = resolve_mask_splits(SegmentData(train=same, val=same), 0)
    assert splits.val.classes == splits.train.classes and "4 of the 4 images of val are in train too" in splits.note


def test_maps_are_kept_packed_and_come_back_as_they_were():
    draw = np.random.default_rng(0)
    maps = [np.kron(draw.integers(0, 19, (h, w)), np.ones((16, 16))).astype(np.uint8) for h, w in ((20, 40), (3, 5))]
    packed = PackedMaps(map(pack, maps))
    assert len(packed) == 2 and all(np.array_equal(mask, again) for mask, again in zip(maps, packed, strict=True))
    assert len(pack(maps[0])[1]) < maps[0].size / 20
    by_row = PackedByRow([(1, maps[1]), (0, maps[0])])
    assert sorted(by_row) == [0, 1] and np.array_equal(by_row[1], maps[1])
