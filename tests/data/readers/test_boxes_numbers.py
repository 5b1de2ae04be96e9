"""What the numbers of a box mean: shares or pixels, confidences, keypoints, outlines, masks; each is right or said."""

import numpy as np
import pytest
from box_writers import SIZE, box, coco, image, images, right, said, voc, xml, yolo, yolo_row

from studio.core.errors import DataError
from studio.data import open_data


@pytest.mark.parametrize("end", [" 0.9", " 0.876 3", " 1"], ids=["confidence", "and a track", "a whole one"])
def test_a_confidence_behind_the_box_is_ignored_and_said(tmp_path, end):
    data = open_data(yolo(tmp_path, end=end))
    right(data)
    assert "6 lines have a sixth number (a confidence), which is ignored" in said(data)


def test_a_confidence_before_the_box_is_refused(tmp_path):
    with pytest.raises(DataError, match="the last four are"):
        open_data(yolo(tmp_path, first="{} 0.97"))


def test_a_sixth_number_that_is_no_confidence_leaves_the_line_out_by_name(tmp_path):
    data = open_data(yolo(tmp_path, end=" 45"))
    assert sum(len(item.boxes) for item in data.items) == 0 and "its sixth number, 45" in said(data)


@pytest.mark.parametrize("line", [",", ",,,,", "\t,", "0,0.5", "0,,0.5,0.5", ";", "0 , 0.5"])
def test_a_line_that_is_no_box_is_left_out_by_name(tmp_path, line):
    spec = yolo(tmp_path)
    text = next(tmp_path.rglob("0.txt"))
    text.write_text(text.read_text() + line + "\n")
    data = open_data(spec)
    right(data)
    assert f"{line.strip()!r} is not `class x y width height`" in said(data)


def test_keypoints_behind_the_box_are_no_outline(tmp_path):
    points = " " + " ".join(["0.3 0.4 2"] * 3)
    right(open_data(yolo(tmp_path, end=points)))  # odd counts: three numbers each
    plain = " " + " ".join(["0.3 0.4"] * 5)
    spec = yolo(tmp_path, "train: images\nnames: [nut, bolt]\nkpt_shape: [5, 2]\n", end=plain)
    data = open_data(spec)
    right(data)
    assert "keypoints" in said(data)


def test_outline_or_keypoints_is_asked_where_both_could_be(tmp_path):
    images(tmp_path, 4)
    (tmp_path / "labels").mkdir()
    for number in range(4):
        row = yolo_row(number).split()
        inside = " ".join(f"{float(row[0]) + d:.4f} {float(row[1]) + d:.4f}" for d in (-0.05, 0, 0.05))
        (tmp_path / "labels" / f"{number}.txt").write_text(f"{number % 2} {' '.join(row)} {inside}\n")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [nut, bolt]\n")
    with pytest.raises(DataError, match=r"outline or a box with keypoints.*lines=outline"):
        open_data(f"yolo:{tmp_path / 'data.yaml'}")
    right(open_data(f"yolo:{tmp_path / 'data.yaml'}?lines=keypoints"))
    assert len(open_data(f"yolo:{tmp_path / 'data.yaml'}?lines=outline")) == 4


def test_turned_boxes_and_outlines_of_yolo_have_the_box_around_them_and_say_so(tmp_path):
    images(tmp_path, 2)
    (tmp_path / "labels").mkdir()
    x1, y1, x2, y2 = (value / side for value, side in zip(box(0), (160, 120, 160, 120), strict=True))
    middle = f"{(x1 + x2) / 2} {y1} {x2} {(y1 + y2) / 2} {(x1 + x2) / 2} {y2} {x1} {(y1 + y2) / 2}"
    (tmp_path / "labels" / "0.txt").write_text(f"nut {middle}\n")  # four corners, and the class by its name
    (tmp_path / "data.yaml").write_text("train: images\nnames: [nut, bolt]\n")
    data = open_data(f"yolo:{tmp_path / 'data.yaml'}")
    np.testing.assert_allclose(data.items[0].boxes.xyxy, [box(0)], atol=0.01)
    assert "outlines or turned boxes; the upright box" in said(data)


def shares(one, number):
    one["bbox"] = [value / side for value, side in zip(one["bbox"], SIZE * 2, strict=True)]


def centre(one, number):
    x, y, w, h = one["bbox"]
    one["bbox"] = [x + w / 2 + 60, y + h / 2 + 45, w, h]


def corners(one, number):
    x, y, w, h = one["bbox"]
    one["bbox"] = [x + 60, y + 40, x + w + 60, y + h + 40]


def unsized(entry, number):
    entry.pop("width")
    entry.pop("height")


@pytest.mark.parametrize("sizes", [lambda entry, number: None, unsized], ids=["with sizes", "without"])
@pytest.mark.parametrize(
    ("write", "remedy"),
    [(shares, "units=shares"), (corners, "boxes=xyxy"), (centre, "boxes=cxcywh")],
    ids=["shares", "corners", "centre"],
)
def test_numbers_in_another_form_are_found_out_with_the_remedy(tmp_path, write, remedy, sizes):
    spec = coco(tmp_path, write, sizes, count=4 if write is not centre else 6)
    with pytest.raises(DataError, match=remedy):
        open_data(spec)
    data = open_data(f"{spec}&{remedy}")
    assert all(len(item.boxes) == 1 for item in data.items)
    if write is shares:
        right(data)


def test_some_boxes_in_shares_among_pixels_are_left_out_by_name(tmp_path):
    data = open_data(coco(tmp_path, lambda one, number: shares(one, number) if number == 2 else None))
    assert [len(item.boxes) for item in data.items] == [1, 1, 0, 1, 1, 1]
    assert "2.jpg, box 1: its numbers are all within 0..1" in said(data)


def test_voc_and_tables_in_shares_are_found_out_too(tmp_path):
    for stem in "01":
        image(tmp_path / "JPEGImages" / f"{stem}.jpg")
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        shape = "<bndbox><xmin>.1</xmin><ymin>.2</ymin><xmax>.5</xmax><ymax>.6</ymax></bndbox>"
        (tmp_path / "Annotations" / f"{stem}.xml").write_text(xml(0, f"{stem}.jpg", shape=shape))
    with pytest.raises(DataError, match="shares of their images.*units=shares"):
        open_data(f"voc:{tmp_path}")
    rows = "ImageID,LabelName,XMin,XMax,YMin,YMax\n0,nut,0.1,0.5,0.2,0.6\n1,nut,0.1,0.5,0.2,0.6\n"
    (tmp_path / "JPEGImages" / "boxes.csv").write_text(rows)
    with pytest.raises(DataError, match="units=shares"):
        open_data(f"csv:{tmp_path / 'JPEGImages' / 'boxes.csv'}")
    data = open_data(f"csv:{tmp_path / 'JPEGImages' / 'boxes.csv'}?units=shares")
    np.testing.assert_allclose(data.items[1].boxes.xyxy, [[16, 24, 80, 72]], atol=0.01)


def test_numbers_in_text_are_numbers(tmp_path):
    def texts(one, number):
        one["bbox"] = [str(value) for value in one["bbox"]]

    def sizes(entry, number):
        entry["width"], entry["height"] = " 160 ", "120.0"

    right(open_data(coco(tmp_path, texts, sizes)))


def test_an_object_without_bbox_has_the_box_around_its_outline(tmp_path):
    def outline(one, number):
        del one["bbox"]
        x1, y1, x2, y2 = box(number)
        if number == 1:
            one["bbox"] = []
        one["segmentation"] = [[x1, y1, x2, y1, x2, y2], [x1, y2, x1 + 3, y2, x1, y2 - 3]]
        if number == 3:  # a mask of runs down the columns
            start = x1 * 120 + y1
            runs = [start, y2 - y1]
            for _ in range(x2 - x1 - 1):
                runs += [120 - (y2 - y1), y2 - y1]
            one["segmentation"] = {"size": [120, 160], "counts": runs}

    data = open_data(coco(tmp_path, outline))
    right(data)
    assert "6 objects have no bbox; the box around their outline was taken" in said(data)
    data = open_data(coco(tmp_path, lambda one, number: one.pop("bbox") if number else None))
    assert "annotation 1: it has no bbox" in said(data)


def test_a_compressed_mask_without_bbox_has_the_box_that_pycocotools_gives(tmp_path):
    from pycocotools import mask as masks

    rng = np.random.default_rng(0)
    expected = []

    def packed(one, number):
        del one["bbox"]
        pixels = np.zeros((120, 160), np.uint8, order="F")
        x1, y1, x2, y2 = box(number)
        pixels[y1:y2, x1:x2] = rng.random((y2 - y1, x2 - x1)) < 0.3  # many short runs, of either difference
        coded = masks.encode(pixels)
        one["segmentation"] = {"size": coded["size"], "counts": coded["counts"].decode()}
        x, y, width, height = masks.toBbox(coded)
        expected.append([x, y, x + width, y + height])

    data = open_data(coco(tmp_path, packed))
    boxes = np.concatenate([item.boxes.xyxy for item in data.items])
    assert sorted(map(tuple, boxes.tolist())) == sorted(map(tuple, expected))


@pytest.mark.parametrize("counts", ["", "P", "\x7f1", "PPPPPPPPPPPPP0", "01O"])
def test_a_compressed_mask_that_is_none_is_named(tmp_path, counts):
    def broken(one, number):
        if number == 0:
            del one["bbox"]
            one["segmentation"] = {"size": [120, 160], "counts": counts}

    assert "it has no bbox, and no outline" in said(open_data(coco(tmp_path, broken)))


@pytest.mark.parametrize(
    "shape",
    [
        "<robndbox><cx>40</cx><cy>40</cy><w>44</w><h>20</h><angle>0.5</angle></robndbox>",
        "<polygon><x1>15.9</x1><y1>20.7</y1><x2>64.1</x2><y2>30</y2><x3>20</x3><y3>59.3</y3></polygon>",
        "<polygon><pt><x>15.9</x><y>20.7</y></pt><pt><x>64.1</x><y>59.3</y></pt><pt><x>20</x><y>30</y></pt></polygon>",
    ],
    ids=["robndbox", "polygon", "LabelMe's polygon"],
)
def test_turned_boxes_and_polygons_of_voc_have_the_box_around_them(tmp_path, shape):
    data = open_data(voc(tmp_path, shape=shape))
    np.testing.assert_allclose(data.items[0].boxes.xyxy, [[15.9, 20.7, 64.1, 59.3]], atol=0.06)
    assert "the upright box around each was taken" in said(data)


def test_an_object_without_any_box_says_what_was_found(tmp_path):
    data = open_data(voc(tmp_path, shape="<cuboid/>"))
    assert "0.xml: an object has no bndbox (found cuboid)" in said(data)
