"""Identifiers and class names stay as they are written; what means two things is refused by name."""

import json

import pytest
from box_writers import NAMES, coco, right, said, yolo

from studio.core.errors import DataError
from studio.data import open_data
from studio.data.files.ids import Ids


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
