"""Scenes, splits of boxes, and what moves images and boxes together."""

import numpy as np
import pytest
import torch

from adapters.detect.data.batches import BoxBatches
from adapters.detect.data.splits import resolve_box_splits
from adapters.detect.data.transforms import augment, pad, scaled
from adapters.detect.task import DetectData, DetectTrain
from studio.core.errors import DataError
from studio.data import open_data, read_image
from studio.data.boxes import Boxes
from studio.data.preprocess import Preprocess


def test_scenes_are_the_same_for_the_same_options_and_differ_by_seed():
    first, again = (open_data("builtin:scenes?images=3&size=96") for _ in range(2))
    other = open_data("builtin:scenes?images=3&size=96&seed=1")
    for one, two, three in zip(first.items, again.items, other.items, strict=True):
        assert np.array_equal(one.source.read(), two.source.read())
        assert one.source.digest() == two.source.digest() != three.source.digest()
        assert not np.array_equal(one.source.read(), three.source.read())


def test_looks_change_the_light_and_not_the_things():
    looks = [
        open_data(f"builtin:scenes?images=2&size=96&look={look}") for look in ("clear", "fog", "night", "infrared")
    ]
    for items in zip(*(data.items for data in looks), strict=True):
        for item in items[1:]:
            np.testing.assert_array_equal(item.boxes.xyxy, items[0].boxes.xyxy)
        clear, fog, night, infrared = (np.asarray(read_image(item.source), float) for item in items)
        assert night.mean() < clear.mean() < fog.mean()
        assert fog.std() < clear.std()
        assert np.ptp(infrared, axis=2).max() == 0


def test_boxes_are_the_edges_of_the_masks():
    for item in open_data("builtin:scenes?images=20&size=128&most=1").items:
        for mask, box in zip(item.boxes.masks(), item.boxes.xyxy, strict=True):
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    crowded = open_data("builtin:scenes?images=5&size=128&most=9").items
    assert all(item.boxes.masks().sum(axis=0).max() <= 1 for item in crowded)  # a pixel shows one thing


@pytest.mark.parametrize("spec", ["look=foggy", "images=0", "lok=fog"])
def test_wrong_options_of_scenes_are_refused(spec):
    with pytest.raises(DataError, match="scenes"):
        open_data(f"builtin:scenes?{spec}")


def a_image(side: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Black, with two bright rectangles and their boxes."""
    pixels = torch.zeros(3, side, side, dtype=torch.uint8)
    boxes = torch.tensor([[8.0, 12.0, 24.0, 28.0], [36.0, 30.0, 56.0, 60.0]])
    for x1, y1, x2, y2 in boxes.long().tolist():
        pixels[:, y1:y2, x1:x2] = 255
    return pixels, boxes, torch.tensor([0, 1])


def test_boxes_stay_around_what_they_are_of():
    pixels, boxes, labels = a_image()
    kept = 0
    for seed in range(60):
        draw = torch.Generator().manual_seed(seed)
        out, moved, classes = augment(pixels, boxes, labels, 64, draw, 0.35, mirror=True, colour=False)
        covered = torch.zeros(64, 64, dtype=torch.bool)
        for x1, y1, x2, y2 in moved.tolist():
            inner = out[0, int(y1 + 2) : int(y2 - 1), int(x1 + 2) : int(x2 - 1)]
            assert inner.numel() == 0 or inner.float().mean() > 240
            covered[max(0, int(y1) - 2) : int(y2) + 3, max(0, int(x1) - 2) : int(x2) + 3] = True
        kept += len(classes)
        if len(classes) == 2:
            assert out[0][~covered].float().mean() < 3
    assert kept > 80


def test_a_batch_is_a_function_of_its_step():
    data = open_data("builtin:scenes?images=6&size=64")
    pixels = np.stack([np.asarray(read_image(item.source)).transpose(2, 0, 1) for item in data.items])
    boxes = [Boxes.of(item.boxes.xyxy, item.boxes.labels) for item in data.items]
    batches = BoxBatches(pixels, boxes, Preprocess(64), DetectTrain(batch_size=4))
    later = batches.batch(3)
    batches.batch(0)
    again = batches.batch(3)
    assert all(torch.equal(getattr(again, name), getattr(later, name)) for name in later.names)
    assert later.images.shape == (4, 3, 64, 64) and later.boxes.shape[:2] == later.labels.shape


def test_crowds_are_not_learned():
    truth = Boxes.of([[1, 1, 9, 9], [20, 20, 40, 40]], [0, 1], np.array([True, False]))
    batches = BoxBatches(np.zeros((1, 3, 64, 64), np.uint8), [truth], Preprocess(64), DetectTrain(augment="none"))
    assert batches.batch(0).labels.tolist() == [[1]]


def test_padding_marks_what_is_no_box():
    boxes, labels = pad([torch.ones(2, 4), torch.ones(0, 4)], [torch.tensor([3, 4]), torch.zeros(0, dtype=torch.long)])
    assert boxes.shape == (2, 2, 4) and labels.tolist() == [[3, 4], [-1, -1]]
    np.testing.assert_allclose(scaled(np.array([[10, 20, 30, 40]]), (100, 50), 200), [[20, 80, 60, 160]])


def test_a_fifth_is_held_out_and_splits_agree_on_classes(home):
    splits = resolve_box_splits(DetectData(train="builtin:scenes?images=20&size=64"), 0, home)
    assert (len(splits.train), len(splits.val)) == (16, 4)
    both = {item.name for item in splits.train.items} & {item.name for item in splits.val.items}
    assert not both


def test_a_class_renamed_between_splits_is_said(home):
    data = DetectData(train="builtin:scenes?images=9&size=64&classes=2", test="builtin:scenes?images=9&size=64")
    with pytest.raises(DataError, match="data.test.*'2', which train has not: was it renamed"):
        resolve_box_splits(data, 0, home)


def test_images_without_boxes_are_refused_for_detection(home):
    with pytest.raises(DataError, match="data.train: builtin:digits has no boxes"):
        resolve_box_splits(DetectData(train="builtin:digits"), 0, home)
