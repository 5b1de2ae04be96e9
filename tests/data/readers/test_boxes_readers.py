"""Readers of boxes: every format gives the same boxes, and every fault is named."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from studio.core.errors import DataError
from studio.data import check, open_data

SIZE = (100, 80)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images."""
    (tmp_path / "images").mkdir()
    draw = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        pixels = draw.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    return tmp_path


def coco(root: Path, annotations=None, name="all.json", **changes) -> str:
    """A spec of COCO's JSON: cat is 3 and dog is 18, as if others had been taken out."""
    content = {
        "images": [
            {"id": 10 + number, "file_name": f"{stem}.png", "width": SIZE[0], "height": SIZE[1]}
            for number, stem in enumerate("abc")
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": annotations
        if annotations is not None
        else [
            {"id": 1, "image_id": 10, "category_id": 3, "bbox": [10, 20, 30, 40]},
            {"id": 2, "image_id": 10, "category_id": 18, "bbox": [50, 10, 20, 20], "iscrowd": 1},
            {"id": 3, "image_id": 11, "category_id": 18, "bbox": [0, 0, 100, 80]},
        ],
        **changes,
    }
    (root / name).write_text(json.dumps(content))
    return f"coco:{root / name}?images={root / 'images'}"


def voc(root: Path, stem: str, objects: str, header: str = "") -> None:
    (root / "Annotations").mkdir(exist_ok=True)
    size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height></size>"
    text = f"{header}<annotation><filename>{stem}.png</filename>{size}{objects}</annotation>"
    (root / "Annotations" / f"{stem}.xml").write_text(text)


def thing(name: str, x1: object, y1: object, x2: object, y2: object, difficult: int = 0) -> str:
    box = f"<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>"
    return f"<object><name>{name}</name><difficult>{difficult}</difficult>{box}</object>"


def yolo(root: Path, texts: dict[str, str], **changes) -> str:
    (root / "labels").mkdir(exist_ok=True)
    for stem, text in texts.items():
        (root / "labels" / f"{stem}.txt").write_text(text)
    (root / "data.yaml").write_text(yaml.safe_dump({"train": "images", "names": ["cat", "dog"], **changes}))
    return f"yolo:{root / 'data.yaml'}"


def reasons(data) -> str:
    return " | ".join(f"{skip.name}: {skip.reason}" for skip in data.skipped)


def test_three_formats_give_the_same_boxes(root):
    voc(root, "a", thing("cat", 10, 20, 40, 60) + thing("dog", 50, 10, 70, 30, 1))
    voc(root, "b", thing("dog", 0, 0, 100, 80))
    voc(root, "c", "")
    text = "0 0.25 0.5 0.3 0.5\n1 0.6 0.25 0.2 0.25\n"
    specs = [coco(root), f"voc:{root}?images={root / 'images'}", yolo(root, {"a": text, "b": "1 .5 .5 1 1", "c": ""})]
    for spec in specs:
        data = open_data(spec)
        assert data.classes == ["cat", "dog"] and data.boxed and len(data) == 3, spec
        first, second, third = (item.boxes for item in data.items)
        np.testing.assert_allclose(first.xyxy, [[10, 20, 40, 60], [50, 10, 70, 30]], atol=1e-4)
        assert first.xyxy.dtype == np.float32 and first.labels.tolist() == [0, 1]
        np.testing.assert_allclose(second.xyxy, [[0, 0, 100, 80]], atol=1e-4)
        assert len(third) == 0 and data.skipped == []
    assert open_data(specs[0]).items[0].boxes.ignore.tolist() == [False, True]
    assert open_data(specs[1]).items[0].boxes.ignore.tolist() == [False, True]


def test_category_ids_with_gaps_become_contiguous_and_are_said(root):
    data = open_data(coco(root))
    assert data.remarks == ["Category ids have gaps; they were numbered anew in their order: 3 became 0, 18 became 1."]


def test_a_box_that_is_none_is_left_out_by_name_and_the_rest_is_kept(root):
    bad = {
        "NaN": [float("nan"), 0, 5, 5], "no area": [5, 5, 0, 4], "outside": [200, 200, 9, 9], "NaN or": "no box",
    }  # fmt: skip
    boxes = [{"id": 9, "image_id": 10, "category_id": 3, "bbox": [10, 20, 30, 40]}]
    boxes += [{"id": n, "image_id": 11, "category_id": 3, "bbox": box} for n, box in enumerate(bad.values())]
    data = open_data(coco(root, boxes))
    assert [len(item.boxes) for item in data.items] == [1, 0, 0]
    for reason in bad:
        assert reason in reasons(data)
    assert "b.png, box 2" in reasons(data)


def test_corners_in_the_wrong_order_are_turned_and_edges_are_cut(root):
    voc(root, "a", thing("cat", 40, 60, 10, 20) + thing("cat", -10, 5, 120, 30))
    data = open_data(f"voc:{root}?images={root / 'images'}")
    np.testing.assert_allclose(data.items[0].boxes.xyxy, [[10, 20, 40, 60], [0, 5, 100, 30]])
    assert any("wrong order" in remark for remark in data.remarks)
    assert any("reached outside" in remark for remark in data.remarks)


def test_corners_written_as_if_they_were_coco_are_found_out(root):
    corners = [[60, 40, 95, 70], [50, 45, 90, 75], [70, 50, 99, 79]]
    boxes = [{"id": n, "image_id": 10, "category_id": 3, "bbox": box} for n, box in enumerate(corners)]
    spec = coco(root, boxes)
    with pytest.raises(DataError, match="0 of 3 boxes lie inside.*corners.*boxes=xyxy"):
        open_data(spec)
    np.testing.assert_allclose(open_data(f"{spec}&boxes=xyxy").items[0].boxes.xyxy, corners)


def test_yolo_texts_in_corners_or_pixels_are_found_out(root):
    corners = "0 0.6 0.7 0.9 0.95\n0 0.55 0.5 0.95 0.9\n1 0.7 0.8 1.0 1.0"
    with pytest.raises(DataError, match="corners"):
        open_data(yolo(root, {"a": corners}))
    data = open_data(yolo(root, {"a": "0 50 40 20 20", "b": "0 0.5 0.5 0.1 0.1"}))
    assert "pixels" in reasons(data) and len(data.items[1].boxes) == 1


def test_yolo_names_what_it_can_not_read(root):
    data = open_data(yolo(root, {"a": "0 0.5 0.5 0.1 0.1\nhello\n7 0.5 0.5 0.1 0.1", "lost": "0 0.5 0.5 0.1 0.1"}))
    assert "a.txt, line 2" in reasons(data) and "no class 7" in reasons(data) and "lost.txt: its image" in reasons(data)
    outline = open_data(yolo(root, {"a": "1 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6"})).items[0].boxes
    np.testing.assert_allclose(outline.xyxy, [[10, 16, 50, 48]], atol=1e-4)


def test_a_missing_image_and_an_annotation_without_one_are_named(root):
    boxes = [
        {"id": 1, "image_id": 10, "category_id": 3, "bbox": [1, 1, 5, 5]},
        {"id": 2, "image_id": 77, "category_id": 3, "bbox": [1, 1, 5, 5]},
        {"id": 3, "image_id": 11, "category_id": 4, "bbox": [1, 1, 5, 5]},
    ]
    spec = coco(root, boxes)
    (root / "images" / "b.png").unlink()
    data = open_data(spec)
    assert len(data) == 2
    for part in ("b.png: the image is missing", "annotation 2: there is no image", "annotation 3: there is no categ"):
        assert part in reasons(data)
    voc(root, "a", thing("cat", 1, 1, 9, 9))
    voc(root, "gone", thing("cat", 1, 1, 9, 9))
    found = open_data(f"voc:{root}?images={root / 'images'}")
    assert "gone.xml: its image is missing" in reasons(found)
    assert any("c; they are left out" in remark or "no annotation" in remark for remark in found.remarks)


def test_a_path_that_leads_out_of_the_folder_is_not_followed(root):
    Image.new("RGB", SIZE).save(root / "outside.png")
    images = [{"id": 10, "file_name": "../outside.png"}, {"id": 11, "file_name": "b.png"}]
    data = open_data(coco(root, images=images))
    assert [item.name for item in data.items] == ["b.png"] and "leads out" in reasons(data)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "is empty"), ("{", "is no JSON"), ("[]", "has no list of"), ('{"images": []}', "annotations, categories")],
)
def test_an_empty_or_foreign_json_is_refused(root, text, said):
    (root / "all.json").write_text(text)
    with pytest.raises(DataError, match=said):
        open_data(f"coco:{root / 'all.json'}?images={root / 'images'}")


def test_an_empty_xml_is_named_and_an_xml_bomb_is_refused(root):
    voc(root, "a", thing("cat", 1, 1, 9, 9))
    (root / "Annotations" / "b.xml").write_text("")
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    )
    voc(root, "c", thing("&j;", 1, 1, 9, 9), header=bomb + "]>")
    data = open_data(f"voc:{root}?images={root / 'images'}")
    assert data.classes == ["cat"] and "b.xml: the file is empty" in reasons(data)
    assert "c.xml: its XML defines entities" in reasons(data)


def test_voc_lists_give_the_splits(root):
    for stem in "abc":
        voc(root, stem, thing("cat", 1, 1, 9, 9))
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\nlost\n")
    (root / "ImageSets" / "Main" / "test.txt").write_text("b\n")
    data = open_data(f"voc:{root}?images={root / 'images'}")
    assert {name: [data.items[i].name for i in rows] for name, rows in data.splits.items()} == {
        "train": ["a.png"], "test": ["b.png"],
    }  # fmt: skip
    assert "lost" in reasons(data)


def test_the_report_card_counts_boxes_and_small_ones(root):
    voc(root, "a", thing("cat", 1, 1, 9, 9) + thing("dog", 10, 10, 90, 70))
    report = check(f"voc:{root}?images={root / 'images'}")
    assert report.classes == {"cat": 1, "dog": 1} and report.images == 1
    assert (report.boxes["small"], report.boxes["medium"], report.boxes["large"]) == (1, 1, 0)
    assert report.boxes["below_1_percent_of_image"] == 1
    assert any("fewer than 20 boxes" in problem for problem in report.problems)


def test_joined_sets_agree_on_classes_by_name(root):
    first = coco(root, name="one.json")
    only = [{"id": 1, "image_id": 12, "category_id": 5, "bbox": [1, 2, 3, 4]}]
    second = coco(root, only, name="two.json", categories=[{"id": 5, "name": "dog"}])
    data = open_data(f"{first},{second}")
    assert data.classes == ["cat", "dog"]
    assert data.items[-1].boxes.labels.tolist() == [1]


def test_real_annotations_of_blood_cells(shared_data):
    if not (shared_data / "bccd").is_dir():
        pytest.skip("no bccd")
    data = open_data(f"voc:{shared_data / 'bccd'}")
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 205, "val": 87, "test": 72}
    assert data.classes == ["Platelets", "RBC", "WBC"] and len(data.skipped) == 2
