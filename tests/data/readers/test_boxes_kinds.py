"""Annotations as people's tools write them: each fault is of a kind, and every kind has its right value or sentence.

Twelve images of 160 x 120; what is right for image n is the box `BOX(n)`, of nut where n is even, of bolt where odd.
"""

import json
import os
import zipfile
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.data import check, open_data
from studio.data.files.ids import Ids
from studio.data.items import Dataset

SIZE = (160, 120)
NAMES = ["nut", "bolt"]


def box(number: int) -> tuple[int, int, int, int]:
    """Corners of the one box in image `number`."""
    return 10 + 7 * number, 12 + 5 * number, 54 + 7 * number, 48 + 5 * number


def image(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (len(str(path)) * 7 % 256, 90, 30)).save(path)


def images(root: Path, count: int = 6, folder: str = "images") -> Path:
    for number in range(count):
        image(root / folder / f"{number}.jpg")
    return root


def right(data: Dataset, numbers: list[int] | None = None, names: list[str] = NAMES) -> None:
    """Every image has its own box and class; `numbers` are those of the images, in order."""
    assert numbers is None or len(data) == len(numbers)
    for place, item in enumerate(data.items):
        number = numbers[place] if numbers is not None else int(Path(item.name.replace("\\", "/")).stem)
        np.testing.assert_allclose(item.boxes.xyxy, [box(number)], atol=0.01, err_msg=item.name)
        assert data.classes[item.boxes.labels[0]] == names[number % 2], item.name


def said(data: Dataset) -> str:
    return " | ".join([*data.remarks, *(f"{one.name}: {one.reason}" for one in data.skipped)])


def yolo_row(number: int, size: tuple[int, int] = SIZE) -> str:
    x1, y1, x2, y2 = box(number)
    (w, h) = size
    return f"{(x1 + x2) / 2 / w:.6f} {(y1 + y2) / 2 / h:.6f} {(x2 - x1) / w:.6f} {(y2 - y1) / h:.6f}"


def yolo(
    root: Path, yaml: str = "train: images\nnames: [nut, bolt]\n", end: str = "", first: str = "{}", count: int = 6
) -> str:
    images(root, count)
    for number in range(count):
        text = root / "labels" / f"{number}.txt"
        text.parent.mkdir(exist_ok=True)
        text.write_text(f"{first.format(number % 2)} {yolo_row(number)}{end}\n")
    (root / "data.yaml").write_text(yaml)
    return f"yolo:{root / 'data.yaml'}"


def coco(root: Path, change=lambda annotation, number: None, edit=lambda entry, number: None, count=6, **top) -> str:
    """COCO's JSON of `count` images, each image and annotation as `edit` and `change` leave it."""
    images(root, count)
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "nut"}, {"id": 2, "name": "bolt"}]}
    for number in range(count):
        x1, y1, x2, y2 = box(number)
        entry = {"id": number + 1, "file_name": f"{number}.jpg", "width": SIZE[0], "height": SIZE[1]}
        one = {"id": number, "image_id": number + 1, "category_id": number % 2 + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        edit(entry, number)
        change(one, number)
        content["images"].append(entry)
        content["annotations"].append(one)
    (root / "ann.json").write_text(json.dumps({**content, **top}))
    return f"coco:{root / 'ann.json'}?images={root / 'images'}"


def xml(
    number: int, filename: str, name: str | None = None, head: str = "", shape: str | None = None, size=SIZE
) -> str:
    x1, y1, x2, y2 = box(number)
    bndbox = f"<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>"
    return (
        f"{head}<annotation><filename>{filename}</filename><size><width>{size[0]}</width><height>{size[1]}</height></size>"
        f"<object><name>{name or NAMES[number % 2]}</name><difficult>0</difficult>{shape or bndbox}</object>"
        "</annotation>"
    )


def voc(root: Path, stems: list[str] | None = None, lists: dict[str, bytes | str] | None = None, **more) -> str:
    stems = stems or [str(number) for number in range(6)]
    for number, stem in enumerate(stems):
        image(root / "JPEGImages" / f"{stem}.jpg")
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{stem}.xml").write_text(xml(number, f"{stem}.jpg", **more))
    for name, content in (lists or {}).items():
        path = root / "ImageSets" / "Main" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return f"voc:{root}"


# What numbers mean


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


# Crowds and difficult objects


@pytest.mark.parametrize("flag", ["0", 0.0, False, "false", None, "no", ""])
def test_no_crowd_is_no_crowd_however_it_is_written(tmp_path, flag):
    data = open_data(coco(tmp_path, lambda one, number: one.update(iscrowd=flag)))
    right(data)
    assert not any(item.boxes.ignore.any() for item in data.items)


def test_an_unclear_crowd_is_left_out_by_name(tmp_path):
    data = open_data(coco(tmp_path, lambda one, number: one.update(iscrowd="maybe" if number == 0 else "1")))
    assert "annotation 0: its iscrowd 'maybe' is neither yes nor no" in said(data)
    assert all(item.boxes.ignore.all() for item in data.items[1:])


def test_boxes_that_are_all_ignored_are_said_and_can_be_learned(tmp_path):
    spec = coco(tmp_path, lambda one, number: one.update(iscrowd=1))
    report = check(spec)
    assert report.boxes["learned"] == 0 and report.learns.startswith("nothing")
    assert any("would learn nothing" in problem for problem in report.problems)
    learned = check(f"{spec}&crowds=learn")
    assert learned.boxes["learned"] == 6 and learned.learns == "6 boxes of 2 classes in 6 images"
    voc(tmp_path / "voc")
    for path in (tmp_path / "voc" / "Annotations").iterdir():
        path.write_text(path.read_text().replace("<difficult>0", "<difficult>1"))
    assert check(f"voc:{tmp_path / 'voc'}").boxes["learned"] == 0
    assert check(f"voc:{tmp_path / 'voc'}?difficult=learn").boxes["learned"] == 6


# Identifiers and classes


def test_ids_are_the_same_as_number_and_as_text(tmp_path):
    right(open_data(coco(tmp_path, lambda one, number: one.update(image_id=str(one["image_id"])))))
    texts = [{"id": "1", "name": "nut"}, {"id": "2", "name": "bolt"}]
    right(
        open_data(
            coco(tmp_path, lambda one, number: one.update(category_id=float(one["category_id"])), categories=texts)
        )
    )


def test_ids_that_themselves_tell_number_from_text_stay_apart():
    ids = Ids([(1, "number"), ("1", "text"), ("01", "padded"), ([1], "list")])
    assert (ids[1], ids["1"], ids["01"], ids[[1]]) == ("number", "text", "padded", "list")
    assert 1.0 not in ids and 2 not in ids  # 1.0 may be either
    assert Ids([(1, "a"), (1, "b")]).twice == [1]


def test_an_id_of_two_images_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"3 image ids occur twice \(1, 2, 3\)"):
        open_data(coco(tmp_path, edit=lambda entry, number: entry.update(id=number // 2 + 1)))
    again = json.loads((tmp_path / "ann.json").read_text())
    again["images"] = [{"id": 1, "file_name": "0.jpg"}, {"id": 1, "file_name": "0.jpg"}]  # the very same entry
    (tmp_path / "ann.json").write_text(json.dumps(again))
    assert len(open_data(f"coco:{tmp_path / 'ann.json'}?images={tmp_path / 'images'}")) == 1


def test_two_entries_for_one_image_are_joined_where_they_are_alike_and_left_out_where_not(tmp_path):
    spec = coco(tmp_path, edit=lambda entry, number: entry.update(file_name=f"{number // 2}.jpg"))
    data = open_data(spec)
    assert [len(item.boxes) for item in data.items] == [2, 2, 2] and "annotated more than once" in said(data)
    spec = coco(
        tmp_path,
        edit=lambda entry, number: entry.update(file_name="x/0.jpg" if number == 1 else f"{number}.jpg"),
    )
    data = open_data(spec)
    assert len(data) == 4 and "several annotations mean the same image, 0.jpg" in said(data)


def test_a_grouping_category_is_no_class(tmp_path):
    groups = [{"id": 0, "name": "nut", "supercategory": "none"}]
    used = [{"id": 1, "name": "nut", "supercategory": "nut"}, {"id": 2, "name": "bolt", "supercategory": "nut"}]
    data = open_data(coco(tmp_path, categories=groups + used))
    right(data)
    assert data.classes == NAMES and "'nut' groups other categories" in said(data)
    categories = [{**groups[0], "name": "thing"}, *used]
    data = open_data(
        coco(tmp_path, lambda one, n: one.update(category_id=0) if n == 0 else None, categories=categories)
    )
    assert data.classes == ["thing", "nut", "bolt"]  # it has a box: it is a class
    with pytest.raises(DataError, match="categories share the name 'nut'"):
        open_data(coco(tmp_path, categories=[{"id": 1, "name": "nut"}, {"id": 2, "name": "nut"}]))


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        ("[no, yes]", ["no", "yes"]), ("[off, on]", ["off", "on"]), ("['007', 007]", None),
        ("[1.0, 1e3]", ["1.0", "1e3"]),
        ("[null, ~]", ["null", "~"]), ("{'0': nut, '1': bolt}", NAMES), ("{nut: 0, bolt: 1}", NAMES),
        ("{0: nut, 1: 2024-01-01}", ["nut", "2024-01-01"]), ("[0x10, 1_000]", ["0x10", "1_000"]),
        ("[nut, [bolt]]", None),
        ("{a: nut, b: bolt}", None), ("[nut, '']", None), ("\n  - nut\n  - bolt", NAMES), ("[nut, nut]", None),
    ],
)  # fmt: skip
def test_class_names_stay_as_they_are_written(tmp_path, names, classes):
    spec = yolo(tmp_path, f"train: images\nnames: {names}\n")
    if classes is None:
        with pytest.raises(DataError, match="data.yaml"):
            open_data(spec)
    else:
        data = open_data(spec)
        assert data.classes == classes
        right(data, names=classes)


# Texts in any encoding


@pytest.mark.parametrize(
    ("declared", "codec"),
    [("gb2312", "gb2312"), ("GBK", "gbk"), ("Big5", "big5"), ("Shift_JIS", "shift_jis"), ("UTF-16", "utf-16"),
     ("utf-16", "utf-8"), ("utf-8", "utf-8-sig"), (None, "utf-16-le"), ("euc-kr", "euc-kr"),
     ("windows-1251", "cp1251")],
)  # fmt: skip
def test_an_xml_is_read_in_the_encoding_that_it_declares(tmp_path, declared, codec):
    name = {"cp1251": "гайка", "euc-kr": "너트"}.get(codec, "螺母" if codec not in ("shift_jis",) else "ナット")
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    voc(tmp_path)
    for path in (tmp_path / "Annotations").iterdir():
        path.write_bytes(xml(int(path.stem), f"{path.stem}.jpg", name, head).encode(codec))
    data = open_data(f"voc:{tmp_path}")
    right(data, names=[name, name])
    assert data.classes == [name]


@pytest.mark.parametrize(("head", "codec"), [("", "gbk"), ("utf-8", "gbk"), ("rot13", "utf-8"), ("idna", "ascii")])
def test_an_encoding_that_nothing_says_is_not_guessed(tmp_path, head, codec):
    voc(tmp_path)
    start = f'<?xml version="1.0" encoding="{head}"?>' if head else ""
    name = "螺母" if codec == "gbk" else "nut"
    (tmp_path / "Annotations" / "0.xml").write_bytes(xml(0, "0.jpg", name, start).encode(codec))
    data = open_data(f"voc:{tmp_path}")
    assert len(data) == 5 and "0.xml: no XML (its text is not" in said(data)


def test_a_json_and_a_yaml_may_be_utf16(tmp_path):
    spec = coco(tmp_path)
    (tmp_path / "ann.json").write_bytes((tmp_path / "ann.json").read_text().encode("utf-16"))
    right(open_data(spec))
    spec = yolo(tmp_path)
    for path in (tmp_path / "data.yaml", tmp_path / "labels" / "0.txt"):
        path.write_bytes(path.read_text().encode("utf-16"))
    right(open_data(spec))


# Images by the name that an annotation gives


@pytest.mark.parametrize(
    "written",
    [
        "images\\{}.jpg", "C:\\data\\images\\{}.jpg", "{}.JPG", "images/{}.jpg", "/home/else/images/{}.jpg", "{}",
        "{}.png",
        "https://host/data/{}.jpg?token=1", "file:///data/{}.jpg", "/data/local-files/?d=sets%5C{}.jpg",
        "/data/upload/1/0a1b2c3d-{}.jpg", "./{}.jpg",
    ],
)  # fmt: skip
def test_an_image_is_found_however_its_name_is_written(tmp_path, written):
    right(
        open_data(coco(tmp_path, edit=lambda entry, n: entry.update(file_name=written.format(n)))),
        list(range(6)),
    )


@pytest.mark.parametrize(
    ("on_disk", "written"),
    [("my photo.jpg", "my%20photo.jpg"), ("a%20b.jpg", "a%20b.jpg"), ("é.jpg", "é.jpg"), ("Ä.JPG", "ä.jpg"),
     ("50%.jpg", "50%.jpg"), ("a,b;c#d.jpg", "a,b;c#d.jpg"), ("x\\y.jpg", "x\\y.jpg")],
)  # fmt: skip
@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_percent_case_and_accents_are_seen_through(tmp_path, on_disk, written, forms):
    image(tmp_path / "images" / normalize(forms[0], on_disk))
    coco(tmp_path, edit=lambda entry, n: entry.update(file_name=normalize(forms[1], written)), count=1)
    os.remove(tmp_path / "images" / "0.jpg")
    data = open_data(f"coco:{tmp_path / 'ann.json'}?images={tmp_path / 'images'}")
    right(data, [0])


def test_of_several_images_that_could_be_meant_none_is_taken(tmp_path):
    spec = coco(tmp_path, edit=lambda entry, n: entry.update(file_name="A.jpg" if n == 0 else f"{n}.jpg"))
    image(tmp_path / "images" / "one" / "a.jpg")
    image(tmp_path / "images" / "two" / "a.jpg")
    data = open_data(spec)
    assert len(data) == 5 and "A.jpg: several images could be meant" in said(data)


def test_links_are_followed_and_names_that_climb_are_not(tmp_path):
    spec = coco(tmp_path)
    (tmp_path / "store").mkdir()
    for number in range(6):
        path = tmp_path / "images" / f"{number}.jpg"
        path.rename(tmp_path / "store" / f"{number}.blob")
        path.symlink_to(Path("..") / "store" / f"{number}.blob")
    right(open_data(spec))
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    (tmp_path / "images").symlink_to(tmp_path / "elsewhere")  # the whole folder
    right(open_data(spec))
    data = open_data(coco(tmp_path / "two", edit=lambda e, n: e.update(file_name="..\\x.jpg" if n else "0.jpg")))
    assert len(data) == 1 and "leads out" in said(data)


def packed(path: Path, root: Path) -> str:
    files = [file for file in sorted(root.rglob("*")) if file.is_file() and file.suffix != ".zip"]
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.write(file, file.relative_to(root))
    return f"zip:{path}"


def roboflow(root: Path) -> None:
    """COCO in train/ and valid/, with images of the same names but other boxes; valid lacks one that train has."""
    for folder, shift in (("train", 0), ("valid", 1)):
        coco(root / "x", lambda one, n, s=shift: one.update(bbox=[box(n + s)[0], box(n + s)[1], 44, 36]), count=4)
        (root / folder).mkdir()
        for number in range(4):
            (root / "x" / "images" / f"{number}.jpg").rename(root / folder / f"{number}.jpg")
        (root / "x" / "ann.json").rename(root / folder / "_annotations.coco.json")
    (root / "valid" / "3.jpg").unlink()
    (root / "x" / "images").rmdir()
    (root / "x").rmdir()


def test_images_of_the_same_name_in_other_splits_are_not_mixed_up(tmp_path):
    roboflow(tmp_path / "set")
    archive = packed(tmp_path / "set.zip", tmp_path / "set")
    for spec in (f"folder:{tmp_path / 'set'}", archive):
        data = open_data(spec)
        assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 4, "val": 3}
        for split, shift in (("train", 0), ("val", 1)):
            for number, item in enumerate(data.part(split).items):
                np.testing.assert_allclose(item.boxes.xyxy, [box(number + shift)], atol=0.01)
        assert "val/3.jpg: the image is missing" in said(data)
    one = open_data(f"{archive}?annotations=valid/_annotations.coco.json")
    assert [item.source.name for item in one.items] == [f"valid/{number}.jpg" for number in range(3)]


def test_an_xml_with_its_own_image_is_not_put_on_another(tmp_path):
    voc(tmp_path)
    for path in (tmp_path / "Annotations").iterdir():
        path.write_text(path.read_text().replace(f"<filename>{path.stem}.jpg", "<filename>0.jpg"))
    data = open_data(f"voc:{tmp_path}")
    right(data, list(range(6)))
    assert "5 annotations name another image inside" in said(data)
    (tmp_path / "Annotations" / "lost.xml").write_text(xml(3, "0.jpg"))
    data = open_data(f"voc:{tmp_path}")
    right(data, list(range(6)))
    assert "lost.xml: its image, 0.jpg, is that of another annotation too" in said(data)


def test_of_two_images_with_a_stem_the_one_that_is_named_is_taken(tmp_path):
    voc(tmp_path)
    for number in range(3):
        image(tmp_path / "JPEGImages" / f"{number}.png", (64, 64))
    data = open_data(f"voc:{tmp_path}")
    right(data, list(range(6)))
    assert "3 names are those of two images" in said(data)
    (tmp_path / "Annotations" / "0.xml").write_text(xml(0, "0"))
    assert "0.xml: several images could be meant" in said(open_data(f"voc:{tmp_path}"))


# Lists and splits


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_image_sets_are_read_with_spaces_suffixes_folders_and_marks(tmp_path, codec):
    stems = ["photo 0", "1", "1 1", "b.c", "4", "5"]
    train = "photo 0\r\n1\r\n1 1\r\n\r\n"
    test = "b.c\r\nJPEGImages\\4.jpg\r\n5 -1\r\nlost one\r\n"
    data = open_data(voc(tmp_path, stems, {"train.txt": train.encode(codec), "test.txt": test.encode(codec)}))
    named = {name: [data.items[row].name for row in rows] for name, rows in data.splits.items()}
    assert named == {"train": ["1 1.jpg", "1.jpg", "photo 0.jpg"], "test": ["4.jpg", "5.jpg", "b.c.jpg"]}
    assert "lost one: test.txt names it" in said(data)


def test_trainval_is_train_as_far_as_no_other_list_says_otherwise(tmp_path):
    data = open_data(voc(tmp_path, lists={"trainval.txt": "0\n1\n2\n3\n", "test.txt": "4\n", "val.txt": "3\n"}))
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 3, "test": 1, "val": 1}
    assert "1 annotations are in none of the lists" in said(data)


def split_yolo(root: Path, yaml: str, train="train", val="valid") -> str:
    for number in range(6):
        folder = root / (train if number < 4 else val)
        image(folder / "images" / f"{number}.jpg")
        (folder / "labels").mkdir(exist_ok=True)
        (folder / "labels" / f"{number}.txt").write_text(f"{number % 2} {yolo_row(number)}\n")
    (root / "data.yaml").write_text(yaml + "names: [nut, bolt]\n")
    return f"yolo:{root / 'data.yaml'}"


@pytest.mark.parametrize(
    "yaml",
    [
        "train: ../train/images\nval: ../valid/images\n", "train: train/images\nvalid: valid/images\n",
        "train: train\nvalidation: valid\n", "path: ../datasets/nuts\ntrain: train/images\nval: valid/images\ntest:\n",
        "train: /content/nuts/train/images\nval: /content/nuts/valid/images\ntest: null\n",
        "train: [train/images]\nval: ..\\valid\\images\n", "Train: ./train\nVALID: ./valid\n",
    ],
)  # fmt: skip
def test_the_folders_of_a_yaml_are_found(tmp_path, yaml):
    spec = split_yolo(tmp_path, yaml)
    for one in (spec, f"yolo:{tmp_path}", f"folder:{tmp_path}"):
        data = open_data(one)
        right(data)
        assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 4, "val": 2}
    archive = packed(tmp_path / "set.zip", tmp_path)
    right(open_data(archive))


def test_a_folder_that_may_be_another_sets_is_asked_for(tmp_path):
    spec = split_yolo(tmp_path / "one", "train: ../train/images\nval: ../valid/images\n")
    right(open_data(spec))
    split_yolo(tmp_path, "train: train\n")
    with pytest.raises(DataError, match="which may be"):
        open_data(spec)


def test_a_key_that_looks_like_a_split_and_is_none_is_named(tmp_path):
    data = open_data(split_yolo(tmp_path, "train: train\nval: valid\ntest_dev: valid\nnc: 3\n"))
    assert "data.yaml has test_dev, which is no split" in said(data) and "says nc: 3, but names 2" in said(data)


@pytest.mark.parametrize("name", ["1.TXT", "1.Txt"])
def test_a_text_is_found_whatever_the_case_of_its_suffix(tmp_path, name):
    spec = yolo(tmp_path)
    (tmp_path / "labels" / "1.txt").rename(tmp_path / "labels" / name)
    right(open_data(spec))
    (tmp_path / "labels").rename(tmp_path / "Labels")
    right(open_data(spec))


def test_a_text_that_may_belong_to_either_of_two_images_is_named(tmp_path):
    spec = yolo(tmp_path)
    image(tmp_path / "images" / "0.png")
    data = open_data(spec)
    right(data)
    assert len(data) == 5 and "0.txt may belong to either image" in said(data)


def test_a_list_of_images_may_name_missing_ones_also_in_a_zip(tmp_path):
    yolo(tmp_path, "train: train.txt\nnames: [nut, bolt]\n")
    (tmp_path / "train.txt").write_text("images/0.jpg\n./images/1.jpg\n/content/x/images/2.jpg\nimages/gone.jpg\n")
    archive = packed(tmp_path / "set.zip", tmp_path)
    for spec in (f"yolo:{tmp_path / 'data.yaml'}", archive):
        data = open_data(spec)
        right(data, [0, 1, 2])
        assert "images/gone.jpg: train.txt names it" in said(data)
        assert check(spec).images == 3


def test_no_text_at_all_says_where_they_were_looked_for(tmp_path):
    spec = yolo(tmp_path)
    (tmp_path / "labels").rename(tmp_path / "annotations")
    with pytest.raises(DataError, match=r"none of its 6 images has a text; looked for .*labels/0\.txt"):
        open_data(spec)
