"""Few shots of boxes: as many of each class as asked for, and no other thing left to be seen in their images."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from adapters.detect.data.shots import Painted, few_shots, pick
from adapters.detect.data.splits import resolve_box_splits
from adapters.detect.task import DetectData
from studio.core.errors import DataError, UsageError
from studio.core.recipe import parse
from studio.data import open_data, read_image
from studio.data.boxes import Boxes
from studio.data.files.images import upright
from studio.data.items import ArraySource, Dataset, Item

CLASSES = 4
labels_of_a_image = st.lists(st.integers(-1, CLASSES - 1), max_size=6).map(lambda one: np.array(one, np.int64))
images = st.lists(labels_of_a_image, min_size=1, max_size=12)


@given(images, st.integers(1, 5), st.integers(0, 9))
def test_each_class_has_as_many_boxes_as_asked_for_or_all_it_has(labels, shots, seed):
    picked = pick(labels, CLASSES, shots, seed)
    for label in range(CLASSES):
        there = sum(int((one == label).sum()) for one in labels)
        assert sum(int(labels[at][row] == label) for at, rows in picked.items() for row in rows) == min(shots, there)
    for at, rows in picked.items():
        assert rows and len(set(rows)) == len(rows) and all(labels[at][row] >= 0 for row in rows)
    assert picked == pick(labels, CLASSES, shots, seed)


def test_images_that_fit_as_a_whole_come_first():
    labels = [np.array([0, 0, 0]), *[np.array([0, 1])] * 4]
    for seed in range(5):
        picked = pick(labels, 2, 2, seed)
        assert len(picked) == 2 and 0 not in picked and all(rows == [0, 1] for rows in picked.values())


def boxed(*boxes: Boxes, classes=("cat", "dog", "cow")) -> Dataset:
    """Images of noise, 40 pixels wide and 30 high."""
    draw = np.random.default_rng(0)
    items = [
        Item(f"{number}", -1, ArraySource(draw.integers(0, 256, (30, 40, 3), dtype=np.uint8)), boxes=one)
        for number, one in enumerate(boxes)
    ]
    return Dataset("test", list(classes), items)


def test_what_was_not_picked_is_painted_over_and_what_was_is_seen_whole():
    three = Boxes.of([[0, 0, 10, 10], [8, 8.5, 20, 20], [30, 5, 39.5, 25]], [0, 0, 1], [False, False, True])
    data = boxed(three)
    (item,) = few_shots(data, 1, 0).items
    assert isinstance(item.source, Painted) and len(item.boxes) == 2  # one cat, and the dog that is not learned
    assert item.boxes.labels.tolist() == [0, 1] and item.boxes.ignore.tolist() == [False, True]
    before, now = np.asarray(read_image(data.items[0].source)), np.asarray(read_image(item.source))
    kept, hidden = np.zeros((30, 40), bool), np.zeros((30, 40), bool)
    for one, corners in ((kept, item.boxes.xyxy), (hidden, item.source.hidden)):
        for x1, y1, x2, y2 in corners:
            one[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))] = True
    assert np.array_equal(now[kept | ~hidden], before[kept | ~hidden])
    assert (now[hidden & ~kept] == before.mean(axis=(0, 1)).round()).all()
    assert upright(item.source, "")[0] == (40, 30) and item.source.digest() != data.items[0].source.digest()


def test_counts_and_what_is_lacking_are_told():
    said = few_shots(boxed(Boxes.of([[0, 0, 5, 5], [9, 9, 15, 15], [20, 9, 30, 15]], [0, 0, 1])), 2, 3).remarks[-1]
    assert "Shots: 3 boxes, 2 of each class, in 1 images, seed 3." in said
    assert "fewer of dog (1), cow (0)" in said and "painted" not in said
    said = few_shots(boxed(Boxes.of([[0, 0, 5, 5], [9, 9, 15, 15]], [0, 0])), 1, 3).remarks[-1]
    assert "1 other things in 1 of them are painted over" in said


def test_masks_are_those_of_the_boxes_that_are_left():
    data = open_data("builtin:scenes?images=4&size=96&classes=1&most=6")
    few, whole = few_shots(data, 3, 0), {item.name: item.boxes for item in data.items}
    assert any(len(item.boxes) < len(whole[item.name]) for item in few.items)
    for item in few.items:
        masks = item.boxes.masks()
        assert masks.shape == (len(item.boxes), 96, 96)
        for mask, (x1, y1, x2, y2) in zip(masks, item.boxes.xyxy.astype(int), strict=True):
            assert not mask[:y1].any() and not mask[y2:].any() and not mask[:, :x1].any() and not mask[:, x2:].any()
    without = few_shots(boxed(Boxes.of([[0, 0, 5, 5], [9, 9, 15, 15]], [0, 0])), 1, 0)
    assert without.items[0].boxes.masks is None


def test_validation_is_held_out_first_and_said_and_the_seed_picks():
    scenes = "builtin:scenes?images=30&size=64&classes=3"
    whole = resolve_box_splits(DetectData(train=scenes), 0)
    few = resolve_box_splits(DetectData(train=scenes, shots=2, test=scenes), 0)
    assert [item.name for item in few.val.items] == [item.name for item in whole.val.items]
    labels = np.concatenate([item.boxes.labels for item in few.train.items])
    assert np.bincount(labels).tolist() == [2, 2, 2]
    assert {item.name for item in few.train.items} <= {item.name for item in whole.train.items}
    held = sum(len(item.boxes) for item in few.val.items)
    assert f"It has {held} boxes, by which the epoch is chosen" in few.note
    assert f"{len(few.train)} of the {len(few.test)} images of test are in train too" in few.note
    other = resolve_box_splits(DetectData(train=scenes, val=scenes, shots=2), 1)
    again = resolve_box_splits(DetectData(train=scenes, val=scenes, shots=2), 2)
    assert [item.name for item in other.train.items] != [item.name for item in again.train.items]


def test_shots_are_of_any_data_with_boxes_and_a_turned_image_stays_turned(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    for folder in ("images", "labels", "JPEGImages", "Annotations"):
        (tmp_path / folder).mkdir()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for folder in ("images", "JPEGImages"):
        Image.fromarray(pixels).save(tmp_path / folder / "a.jpg", exif=exif)
    box = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
    objects = [f"<object><name>cat</name>{box.format(x, 5, x + 8, 15)}</object>" for x in (2, 15, 28)]
    size = "<size><width>60</width><height>40</height></size>"
    annotation = f"<annotation><filename>a.jpg</filename>{size}{''.join(objects)}</annotation>"
    (tmp_path / "Annotations" / "a.xml").write_text(annotation)
    (tmp_path / "labels" / "a.txt").write_text("0 0.2 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1\n0 0.8 0.5 0.1 0.1\n")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat]\n")
    rows = [{"id": x, "image_id": 1, "category_id": 1, "bbox": [x, 5, 8, 10]} for x in (2, 15, 28)]
    images = [{"id": 1, "file_name": "a.jpg", "width": 60, "height": 40}]
    content = {"images": images, "categories": [{"id": 1, "name": "cat"}], "annotations": rows}
    (tmp_path / "all.json").write_text(json.dumps(content))
    for spec in ("voc:{0}", "yolo:{0}/data.yaml", "coco:{0}/all.json?images={0}/images"):
        whole = open_data(spec.format(tmp_path))
        (item,) = few_shots(whole, 1, 0).items
        assert len(item.boxes) == 1 and len(item.source.hidden) == 2, spec
        assert upright(item.source, "")[0] == (40, 60) and read_image(item.source).size == (40, 60)
        before, now = np.asarray(read_image(whole.items[0].source)), np.asarray(read_image(item.source))
        x1, y1, x2, y2 = item.boxes.xyxy[0].astype(int)
        assert np.array_equal(now[y1:y2, x1:x2], before[y1:y2, x1:x2]) and not np.array_equal(now, before)


def test_what_shots_are_not_for_is_refused():
    with pytest.raises(UsageError, match=r"data\.shots: unknown key here; it is for task detect"):
        parse({"method": "fewshot/prototypes", "data": {"train": "builtin:digits", "shots": 3}})
    with pytest.raises(UsageError, match=r"data\.shots"):
        parse({"task": "detect", "method": "detect/fcos", "data": {"shots": 0}})
    with pytest.raises(DataError, match="no boxes"):
        resolve_box_splits(DetectData(train="builtin:digits", shots=3), 0)
