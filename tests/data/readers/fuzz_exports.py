"""Made-up exports of annotation tools (CVAT, LabelMe, Label Studio, VIA), each held against a slow reader.

A module for `benchmarks/fuzz_readers.py`, as `fuzz_boxes.py`. A drawn shape is written in the tool's own way; the slow
reader walks along its outline point by point, and takes the box around the part that lies in the image.
"""

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from hypothesis import strategies as st

from tests.data.readers.fuzz_boxes import HEIGHT, STEMS, WIDTH, images, odd, read

Shape = dict[str, Any]  # kind, numbers in pixels, degrees clockwise
Point = tuple[float, float]
NAMES = ("nut", "bolt", "7")
TURNS = (0, 0, 30, 90, 135, 180, 270, 359.5)
TINY = 0.05  # px; what is left of a shape that ends at the edge of its image is a matter of rounding


@st.composite
def shapes(draw: st.DrawFn, kinds: tuple[str, ...]) -> Shape:
    kind = draw(st.sampled_from(kinds))
    shape = {"kind": kind, "image": draw(st.sampled_from(STEMS)), "name": draw(st.sampled_from(NAMES)), "degrees": 0}
    if kind == "polygon":
        point = st.tuples(st.integers(0, WIDTH), st.integers(2, HEIGHT))
        return shape | {"points": draw(st.lists(point, min_size=3, max_size=6, unique=True))}
    if kind == "circle":
        return shape | {
            "x": draw(st.integers(0, WIDTH)),
            "y": draw(st.integers(0, HEIGHT)),
            "r": draw(st.integers(2, 30)),
        }
    x, y = draw(st.integers(0, WIDTH - 4)), draw(st.integers(0, HEIGHT - 4))
    w, h = draw(st.integers(3, WIDTH - x)), draw(st.integers(3, HEIGHT - y))
    degrees = 0 if kind == "box" else draw(st.sampled_from(TURNS))
    return shape | {"x": x, "y": y, "w": w, "h": h, "degrees": degrees}


def turned(point: Point, about: Point, degrees: float) -> Point:
    """A point turned clockwise on the screen (y points down)."""
    moved = complex(point[0] - about[0], point[1] - about[1]) * complex(
        math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    )
    return about[0] + moved.real, about[1] + moved.imag


def outline(shape: Shape, pivot: str) -> list[Point]:
    """Points all around a shape. Turned boxes turn about their `pivot`: center or corner; ellipses about the center."""
    if shape["kind"] == "polygon":
        return shape["points"]
    steps = [2 * math.pi * step / 1440 for step in range(1440)]
    if shape["kind"] == "circle":
        return [(shape["x"] + shape["r"] * math.cos(t), shape["y"] + shape["r"] * math.sin(t)) for t in steps]
    x, y, w, h = (shape[key] for key in "xywh")
    center = x + w / 2, y + h / 2
    if shape["kind"] == "ellipse":
        plain = [(center[0] + w / 2 * math.cos(t), center[1] + h / 2 * math.sin(t)) for t in steps]
        return [turned(point, center, shape["degrees"]) for point in plain]
    about = (x, y) if pivot == "corner" else center
    return [turned(point, about, shape["degrees"]) for point in ((x, y), (x + w, y), (x + w, y + h), (x, y + h))]


def expected(drawn: list[Shape], pivot: str = "center") -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """Class and box of every shape that shows in its image, by image."""
    out: dict[str, list[tuple[str, tuple[float, ...]]]] = {stem: [] for stem in STEMS}
    for shape in drawn:
        xs, ys = zip(*outline(shape, pivot), strict=True)
        box = max(min(xs), 0), max(min(ys), 0), min(max(xs), WIDTH), min(max(ys), HEIGHT)
        if min(box[2] - box[0], box[3] - box[1]) > TINY:
            out[shape["image"]].append((shape["name"], box))
    return out


def agree(spec: str, drawn: list[Shape], pivot: str = "center", stems: str = STEMS) -> None:
    """Whether a spec gives every image of `stems` exactly the shapes drawn in it, as classes and boxes."""
    data = read(spec)
    assert data is not None, "refused"
    assert sorted(Path(item.name).stem for item in data.items) == sorted(stems), data.skipped
    wanted = expected(drawn, pivot)
    for item in data.items:
        left = list(wanted[Path(item.name).stem])
        for box, label in zip(item.boxes.xyxy.tolist(), item.boxes.labels.tolist(), strict=True):
            if min(box[2] - box[0], box[3] - box[1]) <= TINY:
                continue
            match = next(
                (one for one in left if one[0] == data.classes[label] and math.dist(one[1], box) < 0.02 + TINY), None
            )
            assert match is not None, (item.name, data.classes[label], box, left)
            left.remove(match)
        assert not left, (item.name, left, data.skipped)


def write(path: Path, content: Any) -> Path:
    path.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode("utf-8", "replace"))
    return path


def of(drawn: list[Shape], stem: str) -> list[Shape]:
    return [shape for shape in drawn if shape["image"] == stem]


def cvat_shape(shape: Shape) -> str:
    name, turn = quoteattr(shape["name"]), f'rotation="{shape["degrees"]}"'
    if shape["kind"] == "polygon":
        points = ";".join(f"{x},{y}" for x, y in shape["points"])
        return f'<polygon label={name} points="{points}"/>'
    x, y, w, h = (shape[key] for key in "xywh")
    if shape["kind"] == "ellipse":
        return f'<ellipse label={name} cx="{x + w / 2}" cy="{y + h / 2}" rx="{w / 2}" ry="{h / 2}" {turn}/>'
    return f'<box label={name} xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}" {turn}/>'


def cvat_right(folder: Path, drawn: list[Shape]) -> None:
    images(folder)
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    things = {stem: "".join(map(cvat_shape, of(drawn, stem))) for stem in STEMS}
    entries = "".join(f'<image name="{stem}.jpg" {size}>{things[stem]}</image>' for stem in STEMS)
    agree(f"cvat:{write(folder / 'x.xml', f'<annotations>{entries}</annotations>')}", drawn)


def labelme_shape(shape: Shape) -> dict[str, Any]:
    if shape["kind"] == "polygon":
        kind, points = "polygon", shape["points"]
    elif shape["kind"] == "circle":
        kind, points = "circle", [(shape["x"], shape["y"]), (shape["x"], shape["y"] + shape["r"])]
    elif shape["kind"] == "turned":
        kind, points = "rotation", outline(shape, "center")
    else:
        x, y, w, h = (shape[key] for key in "xywh")
        kind, points = "rectangle", [(x + w, y), (x, y + h)]
    return {"label": shape["name"], "points": points, "shape_type": kind}


def labelme_right(folder: Path, drawn: list[Shape]) -> None:
    images(folder)
    for stem in STEMS:
        content = {"imagePath": f"{stem}.jpg", "imageWidth": WIDTH, "imageHeight": HEIGHT}
        write(folder / f"{stem}.json", content | {"shapes": [labelme_shape(shape) for shape in of(drawn, stem)]})
    agree(f"labelme:{folder}", drawn)


def studio_result(shape: Shape) -> dict[str, Any]:
    def share(x: float, y: float) -> list[float]:
        return [100 * x / WIDTH, 100 * y / HEIGHT]

    if shape["kind"] == "polygon":
        kind, value = "polygon", {"points": [share(*point) for point in shape["points"]]}
    else:
        x, y, w, h = (shape[key] for key in "xywh")
        if shape["kind"] == "ellipse":
            kind, keys = "ellipse", ("x", "y", "radiusX", "radiusY")
            numbers = share(x + w / 2, y + h / 2) + share(w / 2, h / 2)
        else:
            kind, keys = "rectangle", ("x", "y", "width", "height")
            numbers = share(x, y) + share(w, h)
        value = dict(zip(keys, numbers, strict=True)) | {"rotation": shape["degrees"]}
    return {
        "type": f"{kind}labels", "original_width": WIDTH, "original_height": HEIGHT,
        "value": value | {f"{kind}labels": [shape["name"]]},
    }  # fmt: skip


def studio_right(folder: Path, drawn: list[Shape]) -> None:
    images(folder)
    tasks = [
        {"data": {"image": f"/data/upload/1/0123abcd-{stem}.jpg"},
         "annotations": [{"result": [studio_result(shape) for shape in of(drawn, stem)]}]}
        for stem in STEMS
    ]  # fmt: skip
    agree(f"labelstudio:{write(folder / 'x.json', tasks)}", drawn, pivot="corner")


def via_region(shape: Shape) -> dict[str, Any]:
    if shape["kind"] == "polygon":
        xs, ys = zip(*shape["points"], strict=True)
        attributes: dict[str, Any] = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
    elif shape["kind"] == "circle":
        attributes = {"name": "circle", "cx": shape["x"], "cy": shape["y"], "r": shape["r"]}
    else:
        x, y, w, h = (shape[key] for key in "xywh")
        if shape["kind"] == "ellipse":
            attributes = {"name": "ellipse", "cx": x + w / 2, "cy": y + h / 2, "rx": w / 2, "ry": h / 2}
            attributes["theta"] = math.radians(shape["degrees"])
        else:
            attributes = {"name": "rect", "x": x, "y": y, "width": w, "height": h}
    return {"shape_attributes": attributes, "region_attributes": {"class": shape["name"]}}


def via_right(folder: Path, drawn: list[Shape]) -> None:
    images(folder)
    content = {
        f"{stem}.jpg9": {"filename": f"{stem}.jpg", "regions": [via_region(shape) for shape in of(drawn, stem)]}
        for stem in STEMS
    }
    agree(f"via:{write(folder / 'x.json', content)}", drawn)


def via_csv_right(folder: Path, drawn: list[Shape]) -> None:
    images(folder)
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["filename", "region_shape_attributes", "region_attributes"])
    for shape in drawn:
        region = via_region(shape)
        rows.writerow([f"{shape['image']}.jpg", *map(json.dumps, region.values())])
    agree(f"via:{write(folder / 'x.csv', text.getvalue())}", drawn, stems="".join(sorted({s["image"] for s in drawn})))


WORDS = (
    "shapes", "imagePath", "imageWidth", "imageHeight", "label", "points", "shape_type", "data", "image", "annotations",
    "completions", "result", "value", "type", "x", "y", "width", "height", "rotation", "radiusX", "rectanglelabels",
    "labels", "polygonlabels", "original_width", "was_cancelled", "filename", "regions", "shape_attributes",
    "region_attributes", "name", "cx", "r", "theta", "all_points_x", "all_points_y", "_via_img_metadata", "file_upload",
)  # fmt: skip
WELL = (
    "a.jpg", "nut", "rectangle", "circle", "polygon", "rect", "ellipse", "rotation", "rectanglelabels", "http://[a.jpg",
    [[1, 2], [30, 20]], [[1, 2], [30, 20], [9, 9]], ["nut"], [1, 20, 30], 7, 20.5,
)  # fmt: skip
leaf = st.one_of(st.sampled_from(WELL), odd)
tree = st.recursive(
    leaf,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=6)),
    max_leaves=12,
)


def odd_parts(template: Any) -> st.SearchStrategy:
    """Contents of the form of `template`, of which any part may be anything, or lacking."""
    if isinstance(template, dict):
        parts = st.fixed_dictionaries({}, optional={key: odd_parts(value) for key, value in template.items()})
        whole = st.fixed_dictionaries({key: odd_parts(value) for key, value in template.items()})
        return st.one_of(whole, whole, parts, tree)
    if isinstance(template, list):
        return st.one_of(st.lists(st.one_of(map(odd_parts, template)), max_size=3), tree)
    return st.one_of(st.just(template), st.just(template), leaf)


LABELME = {
    "imagePath": "a.jpg", "imageWidth": WIDTH, "imageHeight": HEIGHT,
    "shapes": [{"label": "nut", "points": [[1, 2], [30, 20]], "shape_type": "rectangle"}],
}  # fmt: skip
BOX = {"x": 10, "y": 10, "width": 40, "height": 50, "rotation": 0, "rectanglelabels": ["nut"]}
STUDIO = [
    {"data": {"image": "a.jpg"}, "annotations": [{"result": [
        {"type": "rectanglelabels", "original_width": WIDTH, "original_height": HEIGHT, "value": BOX},
    ]}]},
    {"image": "b.jpg", "label": [BOX]},
]  # fmt: skip
REGION = {
    "shape_attributes": {"name": "rect", "x": 3, "y": 4, "width": 20, "height": 9, "cx": 4, "cy": 5, "r": 6},
    "region_attributes": {"class": "nut", "kind": {"bolt": True}},
}
VIA = {"a.jpg9": {"filename": "a.jpg", "regions": [REGION]}, "b.jpg9": {"filename": "b.jpg", "regions": {"0": REGION}}}
ATTRIBUTES = (
    "label", "xtl", "ytl", "xbr", "ybr", "rotation", "points", "cx", "cy", "rx", "ry", "name", "width", "height",
    "subset",
)  # fmt: skip
element = st.tuples(
    st.sampled_from(["box", "polygon", "ellipse", "points", "mask", "tag", "image", "track", "label", "name"]),
    st.dictionaries(
        st.sampled_from(ATTRIBUTES),
        st.one_of(
            st.sampled_from(["nut", "a.jpg", "1,2;30,20;9,9", "1,2;3", ";", "nan", "1e999", "-7", "Train"]),
            st.integers(0, 70).map(str),
            st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=6),
        ),
        max_size=8,
    ),
)


def written_as(name: str, scheme: str) -> Callable[[Path, Any], None]:
    """A case that writes JSON to a file of this name, and reads it by its scheme and as a folder."""

    def act(folder: Path, drawn: Any) -> None:
        images(folder)
        file = write(folder / name, drawn)
        read(f"{scheme}:{file if scheme != 'labelme' else folder}")
        read(f"folder:{folder}")

    return act


def cvat_odd(folder: Path, drawn: list[tuple[str, dict[str, str]]]) -> None:
    images(folder)
    things = "".join(
        f"<{tag} {' '.join(f'{key}={quoteattr(value)}' for key, value in attributes.items())}/>"
        for tag, attributes in drawn
    )
    text = f'<annotations>{things}<image name="a.jpg">{things}</image></annotations>'
    read(f"cvat:{write(folder / 'x.xml', text)}")


def via_csv_odd(folder: Path, drawn: list[tuple[str, Any, Any]]) -> None:
    images(folder)
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["#filename", "region_shape_attributes", "region_attributes"])
    for name, *cells in drawn:
        rows.writerow([name, *(cell if isinstance(cell, str) else json.dumps(cell) for cell in cells)])
    read(f"via:{write(folder / 'x.csv', text.getvalue())}")


def some(*kinds: str) -> st.SearchStrategy[list[Shape]]:
    return st.lists(shapes(kinds), min_size=1, max_size=6)


CASES = {
    "cvat right": (some("box", "turned", "polygon", "ellipse"), cvat_right),
    "labelme right": (some("box", "turned", "polygon", "circle"), labelme_right),
    "label studio right": (some("box", "turned", "polygon", "ellipse"), studio_right),
    "via right": (some("box", "polygon", "circle", "ellipse"), via_right),
    "via csv right": (some("box", "polygon", "circle", "ellipse"), via_csv_right),
    "cvat odd": (st.lists(element, max_size=5), cvat_odd),
    "labelme odd": (odd_parts(LABELME), written_as("a.json", "labelme")),
    "label studio odd": (odd_parts(STUDIO), written_as("x.json", "labelstudio")),
    "via odd": (odd_parts(VIA), written_as("x.json", "via")),
    "via csv odd": (
        st.lists(st.tuples(st.sampled_from(["a.jpg", "b", ""]), *map(odd_parts, REGION.values())), max_size=4),
        via_csv_odd,
    ),
}
