"""Annotated images in a zip are what they are in a folder, whatever the format."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.data import open_data, read_image

XML = (
    "<annotation><filename>{0}.png</filename><size><width>40</width><height>30</height></size><object>"
    "<name>cat</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>25</ymax></bndbox></object></annotation>"
)


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "PNG")
    return out.getvalue()


def coco(names: list[str]) -> str:
    return json.dumps({
        "images": [{"id": i, "file_name": name, "width": 40, "height": 30} for i, name in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [2, 3, 18, 22]} for i in range(len(names))
        ],
        "categories": [{"id": 1, "name": "cat"}],
    })  # fmt: skip


VOC = {
    "set/Annotations/a.xml": XML.format("a"), "set/Annotations/b.xml": XML.format("b"),
    "set/JPEGImages/a.png": png(), "set/JPEGImages/b.png": png(), "set/ImageSets/Main/train.txt": "a\n",
    "set/ImageSets/Main/test.txt": "b\n", "__MACOSX/set/Annotations/._a.xml": "junk",
}  # fmt: skip
COCO = {"annotations/train.json": coco(["a.png", "b.png"]), "photos/a.png": png(), "photos/b.png": png()}
LINE = f"0 {11 / 40} {14 / 30} {18 / 40} {22 / 30}\n"
YOLO = {
    "data.yaml": "train: images/train\ntest: images/test\nnames: [cat]\n", "images/train/a.png": png(),
    "images/test/b.png": png(), "labels/train/a.txt": LINE, "labels/test/b.txt": LINE,
}  # fmt: skip


def packed(folder, files: dict[str, str | bytes]):
    path = folder / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("files", [VOC, COCO, YOLO], ids=["voc", "coco", "yolo"])
def test_a_zip_of_any_format_has_its_boxes_and_images(tmp_path, files):
    data = open_data(f"zip:{packed(tmp_path, files)}")
    assert data.classes == ["cat"] and len(data) == 2 and data.boxed
    for item in data.items:
        np.testing.assert_allclose(item.boxes.xyxy, [[2, 3, 20, 25]], atol=1e-4)
        assert read_image(item.source, item.name).size == (40, 30)
    if files is not COCO:
        assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 1, "test": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]  # nothing was unpacked


def test_the_images_of_a_coco_file_can_be_named(tmp_path):
    data = open_data(f"zip:{packed(tmp_path, COCO)}?images=photos")
    assert len(data) == 2
    with pytest.raises(DataError, match="no folder"):
        open_data(f"zip:{tmp_path / 'set.zip'}?images=elsewhere")


def test_of_several_sets_one_must_be_named(tmp_path):
    path = packed(tmp_path, {**COCO, "annotations/val.json": coco(["b.png"])})
    with pytest.raises(DataError, match="several sets.*annotations=annotations/train.json"):
        open_data(f"zip:{path}")
    assert len(open_data(f"zip:{path}?annotations=annotations/val.json")) == 1
    with pytest.raises(DataError, match="no annotations 'other.json'"):
        open_data(f"zip:{path}?annotations=other.json")


def test_class_folders_are_read_as_before(tmp_path):
    files = {f"{label}/{number}.png": png() for label in ("cat", "dog") for number in range(2)}
    data = open_data(f"zip:{packed(tmp_path, {**files, 'notes.json': '{}', 'about.yaml': 'a: 1'})}")
    assert not data.boxed and data.classes == ["cat", "dog"]
    with pytest.raises(DataError, match="holds no annotations"):
        open_data(f"zip:{tmp_path / 'set.zip'}?boxes=xyxy")


def test_names_that_lead_out_of_the_folder_name_nothing(tmp_path):
    data = open_data(f"zip:{packed(tmp_path, {**COCO, 'annotations/train.json': coco(['a.png', '../../a.png'])})}")
    assert len(data) == 1 and "leads out" in data.skipped[0].reason
