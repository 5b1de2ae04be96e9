"""Boxes move with their pixels and keep their labels, whatever images are made of."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from adapters.detect.data.batches import BoxBatches
from adapters.detect.data.mixing import mosaic, paste
from adapters.detect.task import DetectTrain
from studio.data import open_data
from studio.data.pixels import decode
from studio.data.preprocess import Preprocess

SIDE = 64


def image(colour: int, box: tuple[int, int, int, int], label: int):
    """A grey image with one filled box of its own colour."""
    pixels = torch.full((3, SIDE, SIDE), 20, dtype=torch.uint8)
    x1, y1, x2, y2 = box
    pixels[:, y1:y2, x1:x2] = colour
    return pixels, torch.tensor([box], dtype=torch.float32), torch.tensor([label])


FOUR = [
    image(colour, box, label)
    for label, (colour, box) in enumerate(
        [(240, (30, 30, 60, 60)), (180, (4, 30, 34, 60)), (130, (30, 4, 60, 34)), (80, (4, 4, 34, 34))]
    )
]


@pytest.mark.parametrize("seed", range(12))
def test_in_a_mosaic_each_box_lies_on_its_pixels(seed):
    pixels, boxes, labels = mosaic(FOUR, torch.Generator().manual_seed(seed))
    assert pixels.shape == (3, SIDE, SIDE) and len(boxes) == len(labels) >= 1
    for box, label in zip(boxes.round().int().tolist(), labels.tolist(), strict=True):
        colour = (240, 180, 130, 80)[label]
        x1, y1, x2, y2 = box
        assert ((pixels[0, y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].int() - colour).abs() < 5).all()
        for column in (x1 - 2, x2 + 1):
            if 0 <= column < SIDE:
                assert ((pixels[0, y1 + 1 : y2 - 1, column].int() - colour).abs() >= 5).all()
        for row in (y1 - 2, y2 + 1):
            if 0 <= row < SIDE:
                assert ((pixels[0, row, x1 + 1 : x2 - 1].int() - colour).abs() >= 5).all()


@pytest.mark.parametrize("seed", range(12))
def test_pasted_things_bring_their_box_and_label(seed):
    here, other = image(200, (0, 0, 8, 8), 0), image(100, (30, 40, 46, 60), 3)
    pixels, boxes, labels = paste(here, other, None, torch.Generator().manual_seed(seed))
    assert torch.equal(here[0], image(200, (0, 0, 8, 8), 0)[0])  # what was given is as it was
    for box, label in zip(boxes.int().tolist(), labels.tolist(), strict=True):
        if label == 3:
            x1, y1, x2, y2 = box
            assert (x2 - x1, y2 - y1) == (16, 20) and (pixels[:, y1:y2, x1:x2] == 100).all()


def test_half_of_the_things_are_pasted():
    here, other = image(200, (0, 0, 4, 4), 0), image(100, (30, 40, 46, 60), 3)
    pasted = [3 in paste(here, other, None, torch.Generator().manual_seed(seed))[2] for seed in range(60)]
    assert 15 < sum(pasted) < 45


def test_only_ink_is_pasted_where_masks_are_known():
    here, other = image(200, (0, 0, 1, 1), 0), image(100, (10, 10, 30, 30), 3)
    masks = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    masks[0, 10:30, 10:20] = True  # the left half of the box
    draws = (paste(here, other, masks, torch.Generator().manual_seed(seed)) for seed in range(20))
    pixels, boxes, _ = next(one for one in draws if 3 in one[2])
    x1, y1, x2, y2 = boxes[-1].int().tolist()
    assert (pixels[:, y1:y2, x1 : x1 + 10] == 100).all() and (pixels[:, y1:y2, x1 + 10 : x2] != 100).all()


def test_what_is_covered_is_no_longer_there():
    small, large = image(200, (20, 20, 40, 40), 0), image(100, (0, 0, 64, 64), 3)
    draws = (paste(small, large, None, torch.Generator().manual_seed(seed)) for seed in range(20))
    pixels, boxes, labels = next(one for one in draws if 3 in one[2])
    assert labels.tolist() == [3] and boxes.tolist() == [[0, 0, 64, 64]] and (pixels == 100).all()


def batches(**settings) -> BoxBatches:
    data = open_data(f"builtin:scenes?images=6&size={SIDE}&classes=3")
    preprocess = Preprocess(SIDE, squash=True)
    pixels, kept = decode(data, preprocess)
    boxes = [item.boxes for item in kept.items]
    return BoxBatches(pixels, boxes, preprocess, DetectTrain(batch_size=3, **settings))


def test_every_step_has_a_size_of_its_own_and_is_the_same_again():
    made = batches(multi_scale=0.5, mosaic=0.5, copy_paste=0.5)
    sides = {made.batch(step).images.shape[-1] for step in range(12)}
    assert sides == {32, 64, 96}
    for step in (0, 5):
        first, second = made.batch(step), made.batch(step)
        assert all(torch.equal(getattr(first, name), getattr(second, name)) for name in first.names)
        real = first.labels >= 0
        assert (first.boxes[real] <= first.images.shape[-1]).all() and (first.boxes >= 0).all()


def test_boxes_grow_with_the_image():
    plain, large = batches(augment="none"), batches(augment="none", multi_scale=0.5)
    step = next(step for step in range(20) if large.batch(step).images.shape[-1] == 96)
    torch.testing.assert_close(large.batch(step).boxes, plain.batch(step).boxes * 1.5)


def test_masks_of_scenes_are_those_of_its_boxes():
    made = batches()
    for row, boxes in enumerate(made.boxes):
        masks = made._masks(row)
        assert masks.shape == (len(boxes), SIDE, SIDE)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.xyxy.astype(int).tolist(), strict=True):
            assert not mask.any() or mask[y1:y2, x1:x2].sum() == mask.sum()


def test_boxes_to_ignore_are_not_pasted_either():
    made = batches(copy_paste=1.0)
    made.boxes = [replace(boxes, ignore=np.ones(len(boxes), bool)) for boxes in made.boxes]
    assert (made.batch(0).labels == -1).all()
