"""LabelMe's, CVAT's and COCO's outlines become the same masks."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.data import open_data
from studio.data.masks.outlines import Patch, filled_by, run_lengths

SIZE = (40, 30)  # width, height
SQUARE = [[4, 4], [16, 4], [16, 14], [4, 14]]
CIRCLE = ((28, 15), 8)
BRUSH = np.array([[0, 1, 1], [1, 1, 0]], bool)  # at (2, 20)


@pytest.fixture
def truth() -> np.ndarray:
    """A square, a circle and a brushed mask: classes 1, 2 and 3 over background."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]] + 0.5
    out = np.zeros(SIZE[::-1], np.uint8)
    out[4:14, 4:16] = 1
    out[(columns - CIRCLE[0][0]) ** 2 + (rows - CIRCLE[0][1]) ** 2 < CIRCLE[1] ** 2] = 2
    out[20:22, 2:5][BRUSH] = 3
    return out


def save_image(folder: Path, **save) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*SIZE[::-1], 3), 90, np.uint8)).save(folder / "a.jpg", **save)


def png(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def labelme(folder: Path, shapes: list[dict]) -> None:
    save_image(folder)
    content = {"shapes": shapes, "imagePath": "a.jpg", "imageWidth": SIZE[0], "imageHeight": SIZE[1]}
    (folder / "a.json").write_text(json.dumps(content))


def close(found: np.ndarray, truth: np.ndarray) -> bool:
    """The same classes, and all but a few pixels of their edges."""
    return set(np.unique(found)) == set(np.unique(truth)) and (found != truth).mean() < 0.03


def test_labelme_s_polygons_circles_and_brushed_masks_are_drawn(tmp_path, truth):
    (x, y), radius = CIRCLE
    shapes = [
        {"label": "1-square", "shape_type": "polygon", "points": SQUARE},
        {"label": "2-circle", "shape_type": "circle", "points": [[x, y], [x + radius, y]]},
        {"label": "3-brush", "shape_type": "mask", "points": [[2, 20], [5, 22]], "mask": png(BRUSH)},
        {"label": "1-square", "shape_type": "line", "points": [[0, 0], [3, 3]]},
        {"label": "3-brush", "shape_type": "mask", "points": [[2, 20], [5, 22]], "mask": "no PNG"},
    ]
    labelme(tmp_path, shapes)
    for spec in (f"labelme:{tmp_path}?truth=masks", f"folder:{tmp_path}?truth=masks"):
        data = open_data(spec)
        assert data.classes == ["background", "1-square", "2-circle", "3-brush"] and data.truth == "masks"
        assert close(data.items[0].mask.read(), truth)
        assert [skip.reason for skip in data.skipped] == [
            "a line of '1-square' has no area", "a mask of '3-brush' has no area",
        ]  # fmt: skip
    assert open_data(f"labelme:{tmp_path}").truth == "boxes"


def test_cvat_s_shapes_and_brushed_masks_are_drawn(tmp_path, truth):
    save_image(tmp_path / "images")
    (x, y), radius = CIRCLE
    points = ";".join(f"{x},{y}" for x, y in SQUARE)
    shapes = f"""<polygon label="square" points="{points}"/>
        <ellipse label="circle" cx="{x}" cy="{y}" rx="{radius}" ry="{radius}"/>
        <mask label="brush" rle="1, 4, 1" left="2" top="20" width="3" height="2"/>
        <mask label="brush" rle="1, 4" left="2" top="20" width="3" height="2"/>"""
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("square", "circle", "brush"))
    image = f'<image id="0" name="a.jpg" width="{SIZE[0]}" height="{SIZE[1]}" subset="Train">{shapes}</image>'
    (tmp_path / "annotations.xml").write_text(
        f"<annotations><meta><task><labels>{labels}</labels></task></meta>{image}</annotations>"
    )
    data = open_data(f"cvat:{tmp_path / 'annotations.xml'}?truth=masks")
    assert data.classes == ["background", "square", "circle", "brush"] and data.splits == {"train": [0]}
    assert close(data.items[0].mask.read(), truth)
    assert [skip.reason for skip in data.skipped] == ["a mask of 'brush' has no area"]


def test_a_turned_box_of_cvat_is_drawn_turned(tmp_path):
    save_image(tmp_path)
    box = '<box label="box" xtl="10" ytl="13" xbr="30" ybr="17" rotation="90"/>'
    image = f'<image id="0" name="a.jpg" width="{SIZE[0]}" height="{SIZE[1]}">{box}</image>'
    (tmp_path / "annotations.xml").write_text(f"<annotations>{image}</annotations>")
    inside = open_data(f"cvat:{tmp_path / 'annotations.xml'}?truth=masks").items[0].mask.read()
    rows, columns = np.nonzero(inside)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (18, 21, 5, 24)


def test_coco_s_polygons_and_run_lengths_are_drawn(tmp_path, truth):
    save_image(tmp_path)
    counts = run_lengths(truth == 2)
    flat = np.concatenate([[0], (truth == 3).T.reshape(-1), [0]]).astype(int)
    edges = np.flatnonzero(np.diff(flat))
    runs = np.diff(np.concatenate([[0], edges, [truth.size]])).tolist()  # not packed
    shapes = [[sum(SQUARE, [])], counts, {"size": list(truth.shape), "counts": runs}]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": SIZE[0], "height": SIZE[1]}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": number, "segmentation": shape, "bbox": [0, 0, 9, 9]}
            for number, shape in enumerate(shapes, start=1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate("abc", start=1)],
    }
    (tmp_path / "instances_val2017.json").write_text(json.dumps(content))
    for spec in ("coco", "masks"):
        option = "?truth=masks" if spec == "coco" else ""
        data = open_data(f"{spec}:{tmp_path / 'instances_val2017.json'}{option}")
        assert data.classes == ["background", "a", "b", "c"] and close(data.items[0].mask.read(), truth)
        assert any("COCO 2017: 1 of 5,000 val" in remark for remark in data.remarks)


def test_outlines_turn_with_an_image_that_exif_turns(tmp_path):
    """COCO's are of the stored image, LabelMe's of the one that is shown."""
    exif = Image.Exif()
    exif[0x0112] = 6
    labelme(tmp_path, [{"label": "a", "shape_type": "rectangle", "points": [[0, 0], [10, 10]]}])
    save_image(tmp_path, exif=exif)
    content = json.loads((tmp_path / "a.json").read_text())
    content.update(imageWidth=SIZE[1], imageHeight=SIZE[0])
    (tmp_path / "a.json").write_text(json.dumps(content))
    shown = open_data(f"labelme:{tmp_path}?truth=masks").items[0].mask.read()
    assert shown.shape == SIZE and shown[:10, :10].all() and shown.sum() == 100


def test_a_patch_beyond_the_image_is_cut_off():
    patch = Patch(-1, 2, np.ones((3, 3), bool))
    inside = filled_by(patch, (4, 4))
    assert inside[2:, :2].all() and inside.sum() == 4


def test_outlines_alone_that_can_t_be_drawn_are_refused(tmp_path):
    labelme(tmp_path, [{"label": "a", "shape_type": "point", "points": [[1, 1]]}])
    with pytest.raises(DataError, match="no outline of any image can be drawn. a.json: a point of 'a' has no area"):
        open_data(f"labelme:{tmp_path}?truth=masks")
