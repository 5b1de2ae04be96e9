"""What annotation tools export is read as it is: by its scheme, as a folder and as a zip, with the same boxes."""

import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.data import open_data
from studio.data.files.box_numbers import rotated
from studio.data.items import Dataset
from studio.data.readers.cvat import ellipse

SIZE = (160, 120)
BOXES = {"a": [(10, 12, 54, 48)], "b": [(20, 30, 100, 90), (5, 6, 25, 46)], "c": []}  # nut, bolt, nut
LABELS = {"a": ["nut"], "b": ["bolt", "nut"], "c": []}


def boxes() -> list[tuple[str, str, tuple[int, int, int, int]]]:
    return [(stem, name, box) for stem in BOXES for name, box in zip(LABELS[stem], BOXES[stem], strict=True)]


def right(data: Dataset, stems: str = "abc") -> None:
    names = [item.name.replace("\\", "/") for item in data.items]
    assert sorted(Path(name).stem for name in names) == list(stems)
    for name, item in zip(names, data.items, strict=True):
        stem, found = Path(name).stem, zip(item.boxes.labels, item.boxes.xyxy, strict=True)
        named = {(data.classes[label], *map(float, xyxy.round(1))) for label, xyxy in found}
        assert named == {(name, *map(float, box)) for name, box in zip(LABELS[stem], BOXES[stem], strict=True)}, stem


def said(data: Dataset) -> str:
    return " | ".join([*data.remarks, *(f"{one.name}: {one.reason}" for one in data.skipped)])


def images(root: Path, folder: str) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for number, stem in enumerate("abc"):
        Image.new("RGB", SIZE, (80 * number, 60, 30)).save(root / folder / f"{stem}.jpg")


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def cvat(root: Path) -> str:
    images(root, "images")
    shapes = {stem: "" for stem in BOXES}
    for stem, name, (x1, y1, x2, y2) in boxes():
        shapes[stem] += f'<box label="{name}" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}" occluded="0"></box>'
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("nut", "bolt", "unused"))
    entries = "".join(
        f'<image id="{n}" name="images/{stem}.jpg" width="160" height="120">{shapes[stem]}</image>'
        for n, stem in enumerate(BOXES)
    )
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    write(root / "annotations.xml", f"<?xml version='1.0' encoding='utf-8'?><annotations>{meta}{entries}</annotations>")
    return f"cvat:{root / 'annotations.xml'}"


def labelme(root: Path) -> str:
    images(root, "")
    for stem in BOXES:
        shapes = [
            {"label": name, "points": [[x2, y2], [x1, y1]], "shape_type": "rectangle"}
            for name, (x1, y1, x2, y2) in zip(LABELS[stem], BOXES[stem], strict=True)
        ]
        content = {"shapes": shapes, "imagePath": f"..\\photos\\{stem}.jpg", "imageHeight": 120, "imageWidth": 160}
        write(root / f"{stem}.json", content)
    return f"labelme:{root}"


def labelstudio(root: Path) -> str:
    images(root, "images")
    tasks = []
    for number, stem in enumerate(BOXES):
        results = [
            {
                "type": "rectanglelabels", "original_width": 160, "original_height": 120, "from_name": "label",
                "value": {"x": x1 / 1.6, "y": y1 / 1.2, "width": (x2 - x1) / 1.6, "height": (y2 - y1) / 1.2,
                          "rotation": 0, "rectanglelabels": [name]},
            }
            for name, (x1, y1, x2, y2) in zip(LABELS[stem], BOXES[stem], strict=True)
        ]  # fmt: skip
        given = [{"id": 1, "was_cancelled": True, "result": []}, {"id": 2, "result": results}]
        tasks.append({"id": number, "annotations": given, "data": {"image": f"/data/upload/1/0123abcd-{stem}.jpg"}})
    write(root / "project-1.json", tasks)
    return f"labelstudio:{root / 'project-1.json'}"


def labelstudio_min(root: Path) -> str:
    labelstudio(root)
    tasks = json.loads((root / "project-1.json").read_text())
    rows = []
    for task in tasks:
        results = task["annotations"][1]["result"]
        values = [{**one["value"], "original_width": 160, "original_height": 120} for one in results]
        rows.append({"id": task["id"], "image": task["data"]["image"], "label": values, "annotator": 1})
    write(root / "project-1.json", rows)
    return f"labelstudio:{root / 'project-1.json'}"


def via_regions(stem: str) -> list[dict[str, object]]:
    return [
        {"shape_attributes": {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1},
         "region_attributes": {"type": name}}
        for name, (x1, y1, x2, y2) in zip(LABELS[stem], BOXES[stem], strict=True)
    ]  # fmt: skip


def via(root: Path) -> str:
    images(root, "")
    write(
        root / "via.json", {f"{s}.jpg99": {"filename": f"{s}.jpg", "size": 9, "regions": via_regions(s)} for s in BOXES}
    )
    return f"via:{root / 'via.json'}"


def via_project(root: Path) -> str:
    images(root, "images")
    inner = {
        f"{stem}.jpg99": {"filename": f"{stem}.jpg", "regions": dict(enumerate(via_regions(stem)))} for stem in BOXES
    }
    write(root / "project.json", {"_via_settings": {}, "_via_img_metadata": inner, "_via_attributes": {}})
    return f"via:{root / 'project.json'}"


def via_csv(root: Path) -> str:
    images(root, "")
    lines = ["filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"]
    for stem in BOXES:
        for number, region in enumerate(via_regions(stem) or [{"shape_attributes": {}, "region_attributes": {}}]):
            cells = [json.dumps(region[key]).replace('"', '""') for key in ("shape_attributes", "region_attributes")]
            lines.append(f'{stem}.jpg,9,"{{}}",1,{number},"{cells[0]}","{cells[1]}"')
    write(root / "via.csv", "\n".join(lines))
    return f"csv:{root / 'via.csv'}"


def tfod(root: Path) -> str:
    images(root, "images")
    rows = [f"images\\{stem}.jpg,160,120,{name},{','.join(map(str, box))}" for stem, name, box in boxes()]
    rows.append("images\\c.jpg,160,120,,,,,")
    write(root / "_annotations.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\n" + "\n".join(rows))
    return f"list:{root / '_annotations.csv'}"


def table(root: Path) -> str:
    """Another order, semicolons, a byte order mark, centres and sizes, and a column that means nothing."""
    images(root, "images")
    rows = [f"7;{name};{(a + c) / 2};{(b + d) / 2};{c - a};{d - b};{stem}" for stem, name, (a, b, c, d) in boxes()]
    write(root / "boxes.csv", "\ufeff;Label;cx;cy;w;h;Image\r\n" + "\r\n".join([*rows, "7;;;;;;c"]))
    return f"csv:{root / 'boxes.csv'}"


def retinanet(root: Path) -> str:
    images(root, "")
    rows = [f"/data/x/{stem}.jpg,{','.join(map(str, box))},{name}" for stem, name, box in boxes()]
    write(root / "train.csv", "\n".join([*rows, "c.jpg,,,,,"]))
    return f"csv:{root / 'train.csv'}"


def line(box: tuple[int, int, int, int]) -> str:
    x1, y1, x2, y2 = box
    return f"{(x1 + x2) / 320} {(y1 + y2) / 240} {(x2 - x1) / 160} {(y2 - y1) / 120}"


def texts(root: Path, folder: str) -> None:
    for stem in BOXES:
        rows = [f"{['nut', 'bolt'].index(n)} {line(b)}" for n, b in zip(LABELS[stem], BOXES[stem], strict=True)]
        write(root / folder / f"{stem}.txt", "\n".join(rows))


def cvat_yolo(root: Path) -> str:
    images(root, "obj_train_data")
    texts(root, "obj_train_data")
    write(root / "obj.names", "nut\nbolt\n")
    write(root / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    write(root / "train.txt", "".join(f"data/obj_train_data/{stem}.jpg\n" for stem in BOXES))
    return f"yolo:{root / 'obj.data'}"


def label_studio_yolo(root: Path) -> str:
    images(root, "images")
    texts(root, "labels")
    write(root / "classes.txt", "nut\nbolt\n")
    write(root / "notes.json", {"categories": [{"id": 0, "name": "nut"}, {"id": 1, "name": "bolt"}], "info": {}})
    return f"yolo:{root}"


def darknet(root: Path) -> str:
    images(root, "")
    texts(root, "")
    write(root / "classes.txt", "nut\nbolt\n")
    return f"yolo:{root}"


def roboflow_voc(root: Path) -> str:
    images(root, "train")
    for stem in BOXES:
        things = "".join(
            f"<object><name>{n}</name><bndbox><xmin>{a}</xmin><xmax>{c}</xmax><ymin>{b}</ymin><ymax>{d}</ymax></bndbox></object>"
            for n, (a, b, c, d) in zip(LABELS[stem], BOXES[stem], strict=True)
        )
        write(root / "train" / f"{stem}.xml", f"<annotation><filename>{stem}.jpg</filename>{things}</annotation>")
    return f"voc:{root / 'train'}"


EXPORTS = [
    cvat, labelme, labelstudio, labelstudio_min, via, via_project, via_csv, tfod, table, retinanet, cvat_yolo,
    label_studio_yolo, darknet, roboflow_voc,
]  # fmt: skip


@pytest.mark.parametrize("export", EXPORTS, ids=lambda one: one.__name__)
def test_an_export_has_its_boxes_by_scheme_as_folder_and_as_zip(tmp_path, export: Callable[[Path], str]):
    root = tmp_path / "set"
    spec = export(root)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in sorted(root.rglob("*")):
            if file.is_file():
                archive.write(file, Path("wrapped") / file.relative_to(root))
    for one in (spec, f"folder:{root}", f"zip:{tmp_path / 'set.zip'}"):
        right(open_data(one))


def test_classes_that_the_tool_states_keep_their_order_and_stay_without_boxes(tmp_path):
    assert open_data(cvat(tmp_path)).classes == ["nut", "bolt", "unused"]


def test_cvat_of_a_video_is_refused_with_what_to_export(tmp_path):
    write(tmp_path / "a.xml", "<annotations><track id='0' label='nut'><box frame='0'/></track></annotations>")
    with pytest.raises(DataError, match="export it as 'CVAT for images 1.1'"):
        open_data(f"cvat:{tmp_path / 'a.xml'}")


def test_cvat_shapes_have_the_box_around_them_and_points_are_named(tmp_path):
    images(tmp_path, "images")
    shapes = (
        '<polygon label="nut" points="10,12;54,20;30,48"/><points label="nut" points="1,1"/>'
        '<ellipse label="nut" cx="50" cy="40" rx="20" ry="10" rotation="90"/>'
        '<box label="nut" xtl="20" ytl="30" xbr="60" ybr="50" rotation="90"/>'
        '<box label="other" xtl="1" ytl="1" xbr="9" ybr="9"/>'
    )
    meta = "<meta><labels><label><name>nut</name></label></labels></meta>"
    write(tmp_path / "a.xml", f'<annotations>{meta}<image name="a.jpg">{shapes}</image></annotations>')
    data = open_data(f"cvat:{tmp_path / 'a.xml'}")
    expected = [[10, 12, 54, 48], [40, 20, 60, 60], [30, 20, 50, 60]]
    np.testing.assert_allclose(data.items[0].boxes.xyxy, expected, atol=0.01)
    for part in ("3 objects are turned boxes or outlines", "a points of 'nut' has no box", "label 'other', which"):
        assert part in said(data)


def test_labelme_shapes_have_the_box_around_them_and_lines_are_named(tmp_path):
    images(tmp_path, "")
    shapes = [
        {"label": "nut", "points": [[10, 12], [54, 20], [30, 48]], "shape_type": "polygon"},
        {"label": "nut", "points": [[50, 40], [50, 50]], "shape_type": "circle"},
        {"label": "nut", "points": [[1, 1], [2, 2]], "shape_type": "line"},
    ]
    write(tmp_path / "a.json", {"shapes": shapes, "imagePath": "b.jpg"})  # the image has its own name, not b
    data = open_data(f"labelme:{tmp_path}")
    assert [item.name for item in data.items] == ["a.jpg"]
    np.testing.assert_allclose(data.items[0].boxes.xyxy, [[10, 12, 54, 48], [40, 30, 60, 50]], atol=0.01)
    assert "a line of 'nut' has no box" in said(data) and "name another image inside" in said(data)


def test_a_turned_box_of_label_studio_turns_about_its_corner(tmp_path):
    labelstudio(tmp_path)
    tasks = json.loads((tmp_path / "project-1.json").read_text())
    value = {"x": 50, "y": 50, "width": 25, "height": 10, "rotation": 90, "rectanglelabels": ["nut"]}
    tasks[0]["annotations"][1]["result"][0]["value"] = value
    write(tmp_path / "project-1.json", tasks)
    data = open_data(f"labelstudio:{tmp_path / 'project-1.json'}")
    first = next(item for item in data.items if item.name == "a.jpg")
    np.testing.assert_allclose(first.boxes.xyxy, [[68, 60, 80, 100]], atol=0.01)  # 40 x 12 at (80, 60), by a quarter
    assert "1 objects are turned boxes" in said(data)


def test_which_attribute_of_via_is_the_class_is_asked(tmp_path):
    spec = via(tmp_path)
    content = json.loads((tmp_path / "via.json").read_text())
    for one in content.values():
        for region in one["regions"]:
            region["region_attributes"] = {"kind": region["region_attributes"]["type"], "colour": {"red": True}}
    write(tmp_path / "via.json", content)
    with pytest.raises(DataError, match="kind, colour. Say which is the class: .class=kind"):
        open_data(spec)
    right(open_data(f"{spec}?class=kind"))
    assert open_data(f"{spec}?class=colour").classes == ["red"]


def test_a_table_whose_columns_are_not_known_is_asked_about(tmp_path):
    images(tmp_path, "")
    write(tmp_path / "t.csv", "photo,what,xmin,ymin,xmax,ymax\na.jpg,nut,10,12,54,48\n")
    with pytest.raises(DataError, match=r"found 'photo', 'what'.*\?image= and \?class="):
        open_data(f"csv:{tmp_path / 't.csv'}")
    right(open_data(f"csv:{tmp_path / 't.csv'}?image=photo&class=what"), "a")
    (tmp_path / "g.csv").write_bytes("filename,class,xmin,ymin,xmax,ymax\na.jpg,螺母,10,12,54,48\n".encode("gbk"))
    with pytest.raises(DataError, match=r"encoding=gbk"):
        open_data(f"csv:{tmp_path / 'g.csv'}")
    assert open_data(f"csv:{tmp_path / 'g.csv'}?encoding=gbk").classes == ["螺母"]


def test_labels_without_the_names_of_their_classes_are_refused_with_what_is_lacking(tmp_path):
    images(tmp_path, "images")
    texts(tmp_path, "labels")
    for spec in (f"folder:{tmp_path}", f"yolo:{tmp_path}"):
        with pytest.raises(DataError, match="no names of their classes. Add classes.txt"):
            open_data(spec)


def test_class_folders_stay_class_folders_where_annotations_lie_beside_them(tmp_path):
    for folder in ("cat", "dog"):
        images(tmp_path, folder)
    write(tmp_path / "boxes.csv", "filename,class,xmin,ymin,xmax,ymax\ncat/a.jpg,cat,10,12,54,48\n")
    data = open_data(f"folder:{tmp_path}")
    assert data.classes == ["cat", "dog"] and not data.boxed and "for boxes write folder:" in said(data)
    assert open_data(f"folder:{tmp_path}?annotations=boxes.csv").boxed
    assert open_data(f"folder:{tmp_path}?annotations=none").remarks == []


@pytest.mark.parametrize("turn", [math.inf, -math.inf, math.nan])
def test_a_shape_that_is_turned_without_end_has_no_box_and_raises_nothing(turn):
    assert not np.isfinite(ellipse(5.0, 5.0, 2.0, 1.0, turn)).any()
    assert not np.isfinite(rotated(5.0, 5.0, 2.0, 1.0, turn)).any()


@pytest.mark.parametrize("odd", [True, 3, "nut", 0.5, [True, "nut", None], None])
def test_what_should_be_a_list_of_boxes_and_is_none_leaves_its_image_without_boxes(odd, tmp_path):
    images(tmp_path, "via")
    images(tmp_path, "studio")
    region = {"shape_attributes": {"name": "rect", "x": 1, "y": 2, "width": 9, "height": 8}}
    region["region_attributes"] = {"class": "nut"}
    whole, without = {"filename": "a.jpg", "regions": [region]}, {"filename": "b.jpg", "regions": odd}
    write(tmp_path / "via" / "x.json", {"a.jpg9": whole, "b.jpg9": without})
    box = {"type": "rectanglelabels", "value": {**dict.fromkeys(("x", "y"), 5), "width": 9, "height": 9}}
    box["value"]["rectanglelabels"] = ["nut"]
    tasks = [
        {"data": {"image": "a.jpg"}, "annotations": [{"result": [box]}]},
        {"data": {"image": "b.jpg"}, "annotations": odd},
        {"data": {"image": "c.jpg"}, "annotations": [{"result": odd}]},
    ]
    write(tmp_path / "studio" / "x.json", tasks)
    for spec in (f"via:{tmp_path / 'via' / 'x.json'}", f"labelstudio:{tmp_path / 'studio' / 'x.json'}"):
        counts = {Path(item.name).stem: len(item.boxes.labels) for item in open_data(spec).items}
        assert counts["a"] == 1 and sum(counts.values()) == 1
