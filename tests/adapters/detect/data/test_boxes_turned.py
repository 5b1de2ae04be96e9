"""Boxes of images that EXIF turns lie where the things are in the upright image."""

import json

import numpy as np
import pytest
from PIL import Image

from studio.data import open_data, read_image
from studio.data.files.annotations import turned
from studio.data.files.images import upright
from studio.data.items import FileSource

WIDE, HIGH = 64, 48  # of the stored image
BOX = (40, 8, 60, 20)  # a white thing in it


def stored(path, orientation: int) -> None:
    pixels = np.zeros((HIGH, WIDE, 3), np.uint8)
    x1, y1, x2, y2 = BOX
    pixels[y1:y2, x1:x2] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


def seen(path) -> tuple[int, int, int, int]:
    """Where the white thing is in the image as it is read."""
    rows, columns = np.nonzero(np.asarray(read_image(path))[..., 0] > 127)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_as_the_image_does(tmp_path, orientation):
    path = tmp_path / "a.png"
    stored(path, orientation)
    size, found = upright(FileSource(path), "a.png")
    assert size == read_image(path).size and found == orientation
    assert turned(np.array([BOX], np.float32), (WIDE, HIGH), orientation)[0].tolist() == list(seen(path))


def coco(folder, orientation: int, size: tuple[int, int] | None, box: tuple[int, int, int, int]):
    stored(folder / "a.png", orientation)
    x1, y1, x2, y2 = box
    content = {
        "images": [{"id": 1, "file_name": "a.png", **({"width": size[0], "height": size[1]} if size else {})}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}],
        "categories": [{"id": 1, "name": "thing"}],
    }
    (folder / "a.json").write_text(json.dumps(content))
    return open_data(f"coco:{folder / 'a.json'}")


def test_boxes_drawn_on_the_stored_image_are_turned_and_it_is_said(tmp_path):
    data = coco(tmp_path, 6, (WIDE, HIGH), BOX)
    assert data.items[0].boxes.xyxy[0].tolist() == list(seen(tmp_path / "a.png"))
    assert any("turned by their EXIF" in remark for remark in data.remarks)


def test_boxes_drawn_on_the_upright_image_are_left_as_they_are(tmp_path):
    stored(tmp_path / "a.png", 6)
    upright_box = seen(tmp_path / "a.png")
    data = coco(tmp_path, 6, (HIGH, WIDE), upright_box)
    assert data.items[0].boxes.xyxy[0].tolist() == list(upright_box) and not data.remarks


@pytest.mark.parametrize("orientation", [3, 6])
def test_without_a_size_that_tells_coco_means_the_stored_image(tmp_path, orientation):
    data = coco(tmp_path, orientation, None, BOX)
    assert data.items[0].boxes.xyxy[0].tolist() == list(seen(tmp_path / "a.png"))


def test_yolo_means_the_upright_image(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    stored(tmp_path / "images" / "a.png", 6)
    x1, y1, x2, y2 = seen(tmp_path / "images" / "a.png")
    line = ((x1 + x2) / 2 / HIGH, (y1 + y2) / 2 / WIDE, (x2 - x1) / HIGH, (y2 - y1) / WIDE)
    (tmp_path / "labels" / "a.txt").write_text("0 " + " ".join(map(str, line)))
    (tmp_path / "data.yaml").write_text("train: images\nnames: [thing]\n")
    data = open_data(f"yolo:{tmp_path / 'data.yaml'}")
    np.testing.assert_allclose(data.items[0].boxes.xyxy[0], (x1, y1, x2, y2), atol=1e-3)


def test_tools_in_a_browser_mean_the_upright_image(tmp_path):
    stored(tmp_path / "a.png", 6)
    x1, y1, x2, y2 = seen(tmp_path / "a.png")
    shape = {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
    region = {"shape_attributes": shape, "region_attributes": {"class": "thing"}}
    (tmp_path / "via.json").write_text(json.dumps({"a.png9": {"filename": "a.png", "regions": [region]}}))
    data = open_data(f"via:{tmp_path / 'via.json'}")
    assert data.items[0].boxes.xyxy[0].tolist() == [x1, y1, x2, y2]
