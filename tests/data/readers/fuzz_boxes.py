"""Made-up annotations for the readers of boxes, and a slow reader of each to hold them against.

A module for `benchmarks/fuzz_readers.py` has `CASES`: name -> (strategy, function of (folder, drawn value)) that
writes a set, reads it, and raises AssertionError for a wrong box; UsageError is the one error that may come out.
"""

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from studio.core.errors import UsageError
from studio.data import open_data

WIDTH, HEIGHT = 60, 40
STEMS = "abc"

odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.lists(st.integers(), max_size=5),
    st.sampled_from([float("nan"), float("inf"), 1e300, "12", " 7 ", "", {}, "1e2"]),
)  # fmt: skip
side = st.integers(0, 70)
numbers = st.one_of(st.tuples(side, side, side, side).map(list), st.lists(odd, max_size=6), odd)
annotation = st.fixed_dictionaries(
    {"image_id": st.one_of(st.integers(0, 3), st.sampled_from(["0", "1", 2.0]), odd)},
    optional={
        "id": odd, "category_id": st.one_of(st.integers(0, 2), odd), "bbox": numbers, "iscrowd": odd,
        "segmentation": st.one_of(st.lists(st.lists(side, max_size=8), max_size=2), odd),
    },
)  # fmt: skip
line = st.one_of(
    st.lists(st.one_of(st.floats(0, 1), st.integers(0, 2), st.floats()), max_size=12).map(
        lambda v: " ".join(map(str, v))
    ),
    st.tuples(st.integers(0, 1), *[st.integers(1, 9).map(lambda n: n / 20)] * 4).map(lambda v: " ".join(map(str, v))),
    st.text(max_size=20),
)
content = st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
cell = st.one_of(
    st.integers(0, 70).map(str), st.sampled_from(["a.jpg", "b.jpg", "nut", "", '"', ";"]), st.text(max_size=4)
)
TAGS = [
    "object",
    "name",
    "bndbox",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "filename",
    "size",
    "width",
    "polygon",
    "pt",
    "x",
    "y",
]


def images(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, stem in enumerate(STEMS):
        Image.new("RGB", (WIDTH, HEIGHT), (80 * number, 9, 9)).save(folder / f"{stem}.jpg")


def read(spec: str) -> Any:
    """The data of a spec whose boxes all lie in their images and have a class, or None where it is refused."""
    try:
        data = open_data(spec)
    except UsageError as error:
        assert str(error).strip() and "Traceback" not in str(error)
        return None
    for item in data.items:
        if item.boxes is None:
            continue
        for (x1, y1, x2, y2), label in zip(item.boxes.xyxy.tolist(), item.boxes.labels.tolist(), strict=True):
            assert 0 <= x1 < x2 <= WIDTH and 0 <= y1 < y2 <= HEIGHT, (item.name, x1, y1, x2, y2)
            assert 0 <= label < len(data.classes)
    return data


def boxes_of(data: Any) -> dict[str, list[tuple[float, ...]]]:
    return {
        Path(item.name).stem: sorted(tuple(round(value, 2) for value in row) for row in item.boxes.xyxy.tolist())
        for item in data.items
    }


def clipped(x1: float, y1: float, x2: float, y2: float) -> tuple[float, ...] | None:
    """The part of a box in its image, rounded; None where there is none. As slow and plain as can be."""
    x1, x2 = sorted((x1, x2))
    y1, y2 = sorted((y1, y2))
    inside = max(x1, 0), max(y1, 0), min(x2, WIDTH), min(y2, HEIGHT)
    return tuple(round(float(v), 2) for v in inside) if inside[0] < inside[2] and inside[1] < inside[3] else None


def plain(rows: list[tuple[int, list[int]]], form: str) -> dict[str, list[tuple[float, ...]]]:
    out: dict[str, list[tuple[float, ...]]] = {stem: [] for stem in STEMS}
    for place, (a, b, c, d) in rows:
        box = clipped(a, b, c, d) if form == "xyxy" else clipped(a, b, a + c, b + d)
        degenerate = (a == c or b == d) if form == "xyxy" else (c == 0 or d == 0)
        if box and not degenerate:
            out[STEMS[place]].append(box)
    return {stem: sorted(boxes) for stem, boxes in out.items()}


rows = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.integers(0, 70), min_size=4, max_size=4)), min_size=1, max_size=6
)


def coco_right(folder: Path, drawn: list[tuple[int, list[int]]]) -> None:
    images(folder)
    value = {
        "images": [{"id": n, "file_name": f"{stem}.jpg"} for n, stem in enumerate(STEMS)],
        "categories": [{"id": 0, "name": "nut"}],
        "annotations": [{"image_id": n, "category_id": 0, "bbox": box} for n, box in drawn],
    }
    (folder / "x.json").write_text(json.dumps(value))
    data = read(f"coco:{folder / 'x.json'}?boxes=xywh")
    assert data is not None and boxes_of(data) == plain(drawn, "xywh")


def csv_right(folder: Path, drawn: list[tuple[int, list[int]]]) -> None:
    images(folder)
    lines = [f"{STEMS[n]}.jpg,nut,{','.join(map(str, box))}" for n, box in drawn]
    (folder / "x.csv").write_text("filename,class,xmin,ymin,xmax,ymax\n" + "\n".join(lines))
    data = read(f"csv:{folder / 'x.csv'}?boxes=xyxy")
    expected = {stem: boxes for stem, boxes in plain(drawn, "xyxy").items() if stem in {STEMS[n] for n, _ in drawn}}
    assert data is not None and boxes_of(data) == expected


def voc_right(folder: Path, drawn: list[tuple[int, list[int]]]) -> None:
    images(folder)
    for place, stem in enumerate(STEMS):
        things = "".join(
            f"<object><name>nut</name><bndbox><ymax>{d}</ymax><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax></bndbox></object>"
            for n, (a, b, c, d) in drawn
            if n == place
        )
        (folder / f"{stem}.xml").write_text(f"<annotation><filename>{stem}.jpg</filename>{things}</annotation>")
    data = read(f"voc:{folder}?boxes=xyxy")
    assert data is not None and boxes_of(data) == plain(drawn, "xyxy")


def yolo_right(folder: Path, drawn: list[tuple[int, list[int]]]) -> None:
    images(folder)
    (folder / "data.yaml").write_text("train: .\nnames: [nut]\n")
    for place, stem in enumerate(STEMS):
        centres = [(a + c / 2, b + d / 2, c, d) for n, (a, b, c, d) in drawn if n == place]
        text = "\n".join(f"0 {x / WIDTH} {y / HEIGHT} {w / WIDTH} {h / HEIGHT}" for x, y, w, h in centres)
        (folder / f"{stem}.txt").write_text(text)
    data = read(f"yolo:{folder / 'data.yaml'}?boxes=cxcywh")
    found, expected = boxes_of(data), plain(drawn, "xywh")
    for stem in STEMS:
        near = [
            abs(x - y) for a, b in zip(found[stem], expected[stem], strict=False) for x, y in zip(a, b, strict=True)
        ]
        assert max(near, default=0) <= 0.02


def coco_odd(folder: Path, drawn: list[dict[str, Any]]) -> None:
    images(folder)
    value = {
        "images": [{"id": n, "file_name": f"{stem}.jpg"} for n, stem in enumerate(STEMS)],
        "categories": [{"id": 0, "name": "nut"}, {"id": "1", "name": "bolt"}],
        "annotations": drawn,
    }
    (folder / "x.json").write_text(json.dumps(value))
    read(f"coco:{folder / 'x.json'}")


def yolo_odd(folder: Path, drawn: list[str]) -> None:
    images(folder)
    (folder / "data.yaml").write_text("train: .\nnames: [nut, bolt]\n")
    (folder / "a.txt").write_bytes("\n".join(drawn).encode("utf-8", "replace"))
    read(f"yolo:{folder / 'data.yaml'}")


def csv_odd(folder: Path, drawn: list[list[str]]) -> None:
    images(folder)
    text = "filename,class,xmin,ymin,xmax,ymax\n" + "\n".join(",".join(row) for row in drawn)
    (folder / "x.csv").write_bytes(text.encode("utf-8", "replace"))
    read(f"csv:{folder / 'x.csv'}")


def voc_odd(folder: Path, drawn: list[tuple[str, str]]) -> None:
    images(folder)
    escaped = [(tag, text.replace("&", "&amp;").replace("<", "&lt;")) for tag, text in drawn]
    things = "".join(f"<{tag}>{text}</{tag}>" for tag, text in escaped)
    text = f"<annotation>{things}<object><name>nut</name><bndbox>{things}</bndbox></object></annotation>"
    (folder / "a.xml").write_bytes(text.encode("utf-8", "replace"))
    read(f"voc:{folder}")


def any_file(folder: Path, drawn: tuple[str, bytes]) -> None:
    """Bytes that are nothing, under the name of each format."""
    images(folder)
    (folder / drawn[0]).write_bytes(drawn[1])
    read(f"folder:{folder}")


NAMES = ["x.json", "a.xml", "x.csv", "data.yaml", "obj.data", "classes.txt", "a.txt", "notes.json"]
CASES = {
    "coco right": (rows, coco_right),
    "csv right": (rows, csv_right),
    "voc right": (rows, voc_right),
    "yolo right": (rows, yolo_right),
    "coco odd": (st.lists(annotation, max_size=5), coco_odd),
    "yolo odd": (st.lists(line, max_size=5), yolo_odd),
    "csv odd": (st.lists(st.lists(cell, max_size=8), max_size=5), csv_odd),
    "voc odd": (st.lists(st.tuples(st.sampled_from(TAGS), st.text(max_size=6)), max_size=8), voc_odd),
    "any bytes": (st.tuples(st.sampled_from(NAMES), content), any_file),
}
