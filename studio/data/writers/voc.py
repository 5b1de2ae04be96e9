"""Pascal VOC: JPEGImages/, Annotations/*.xml and ImageSets/Main/train.txt; `voc:` reads them."""

from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from studio.data.items import Dataset
from studio.data.writers.copied_images import Copied, copied

TRUTHS = ("boxes",)


def write(dataset: Dataset, out: Path) -> None:
    """One XML an image. Corners are in pixels that count from 0, with their fractions."""
    folder, lists = out / "Annotations", out / "ImageSets" / "Main"
    folder.mkdir()
    lists.mkdir(parents=True)
    stems = []
    for copy in copied(dataset, out / "JPEGImages"):
        ElementTree.ElementTree(_annotation(copy, dataset.classes)).write(
            folder / f"{copy.path.stem}.xml", encoding="utf-8"
        )
        stems.append(copy.path.stem)
    (lists / "train.txt").write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")


def _annotation(copy: Copied, classes: list[str]) -> Element:
    root = Element("annotation")
    SubElement(root, "filename").text = copy.path.name
    size = SubElement(root, "size")
    for name, value in zip(("width", "height", "depth"), (*copy.size, 3), strict=True):
        SubElement(size, name).text = str(value)
    boxes = copy.item.boxes
    for corners, label, ignore in zip(boxes.xyxy.tolist(), boxes.labels.tolist(), boxes.ignore.tolist(), strict=True):
        thing = SubElement(root, "object")
        SubElement(thing, "name").text = classes[label]
        SubElement(thing, "difficult").text = str(int(ignore))
        box = SubElement(thing, "bndbox")
        for name, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            SubElement(box, name).text = f"{value:g}"
    return root
