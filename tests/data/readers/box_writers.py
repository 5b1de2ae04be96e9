"""Writes annotations as people's tools do, and says what is right of them.

Images of 160 x 120; what is right for image n is `box(n)`, of nut where n is even, of bolt where odd.
"""

import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

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


def packed(path: Path, root: Path) -> str:
    files = [file for file in sorted(root.rglob("*")) if file.is_file() and file.suffix != ".zip"]
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.write(file, file.relative_to(root))
    return f"zip:{path}"
