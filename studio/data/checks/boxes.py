"""The part of a dataset's report card that is about boxes: how many, how large, and what is odd about them."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from studio.core.errors import nearest
from studio.data.boxes import iou
from studio.data.items import Dataset

SMALL, LARGE = 32**2, 96**2  # pixels: COCO's bounds of area
HIDDEN = 0.01  # share of an image below which a thing has few pixels left once the image is made small
FEW = 20  # boxes a class below which a detector is fragile


def boxes_by_class(data: Dataset, rows: Iterable[int]) -> dict[str, int]:
    """Boxes of each class in the images `rows` that are learned: crowds and difficult ones do not count."""
    counted = Counter(label for row in rows for label in _of(data, row).labels[~_of(data, row).ignore].tolist())
    return {name: counted.get(label, 0) for label, name in enumerate(data.classes)}


def measure_boxes(data: Dataset, sizes: dict[int, tuple[int, int]]) -> dict[str, Any]:
    """Numbers on the boxes of the images in `sizes` (index -> width, height)."""
    areas = np.concatenate([_areas(_of(data, row).xyxy) for row in sizes] or [np.zeros(0)])
    shares = [_areas(_of(data, row).xyxy) / (size[0] * size[1]) for row, size in sizes.items()]
    shares_all = np.concatenate(shares or [np.zeros(0)])
    count = len(areas)
    return {
        "boxes": count,
        "learned": count - int(sum(_of(data, row).ignore.sum() for row in sizes)),
        "boxes_per_image": round(count / max(1, len(sizes)), 2),
        "images_without_boxes": sum(len(_of(data, row)) == 0 for row in sizes),
        "ignored": int(sum(_of(data, row).ignore.sum() for row in sizes)),
        "small": int((areas < SMALL).sum()),
        "medium": int(((areas >= SMALL) & (areas <= LARGE)).sum()),
        "large": int((areas > LARGE).sum()),
        "median_share_of_image": round(float(np.median(shares_all)), 5) if count else 0.0,
        "below_1_percent_of_image": int((shares_all < HIDDEN).sum()),
        "drawn_twice": int(sum(_twice(data, row) for row in sizes)),
    }


def box_problems(counts: dict[str, int], splits: dict[str, dict[str, int]], numbers: dict[str, Any]) -> list[str]:
    """Sentences for a person, from what `boxes_by_class` and `measure_boxes` gave."""
    sentences = []
    if not numbers["boxes"]:
        return ["There is no usable box: a run would learn nothing, and is refused."]
    if not numbers["learned"]:
        sentences.append(f"All {numbers['boxes']} boxes are ignored: a run would learn nothing, and is refused.")
        return sentences
    if splits.get("train") is not None and not any(splits["train"].values()):
        sentences.append("train has no box that is learned: a run would learn nothing, and is refused.")
    if numbers["ignored"]:
        sentences.append(
            f"{numbers['ignored']} of {numbers['boxes']} boxes are ignored (crowds, difficult objects): they are "
            "neither learned nor counted as missed."
        )
    if alike := _alike(list(counts)):
        sentences.append(f"Classes whose names differ in case or spaces alone: {', '.join(alike[:5])}.")
    if empty := [name for name, count in counts.items() if not count]:
        sentences.append(f"Classes without a box: {', '.join(empty[:10])}. They are never learned.")
    if few := [f"{name} ({count})" for name, count in counts.items() if 0 < count < FEW]:
        sentences.append(f"Classes with fewer than {FEW} boxes: {', '.join(few[:10])}. More of them help most here.")
    present = [count for count in counts.values() if count]
    if max(present) > 10 * min(present):
        sentences.append(
            f"The largest class has {max(present) / min(present):.1f} times as many boxes as the smallest."
        )
    if numbers["small"] > 0.3 * numbers["boxes"]:
        sentences.append(
            f"{numbers['small']} of {numbers['boxes']} boxes are small (below 32 x 32 pixels): take a larger "
            "model.image_size than you otherwise would."
        )
    if numbers["images_without_boxes"]:
        sentences.append(f"{numbers['images_without_boxes']} images have no box; they are learned as background.")
    if numbers["drawn_twice"]:
        sentences.append(
            f"{numbers['drawn_twice']} boxes lie on another of their class almost exactly (IoU over 0.95)."
        )
    train = splits.get("train", {})
    for split, split_counts in splits.items():
        lacking = [name for name, count in split_counts.items() if count and not train.get(name)]
        if train and lacking:
            hint = nearest(lacking[0], [name for name, count in train.items() if count])
            sentences.append(
                f"Classes of {split} that train has not, perhaps renamed: {', '.join(lacking[:10])}.{hint}"
            )
    return sentences


def what_is_learned(counts: dict[str, int], numbers: dict[str, Any], images: int) -> str:
    """What a run would learn from, in a sentence; `counts` are boxes by class, of train where the data is divided."""
    boxes, present = sum(counts.values()), [name for name, count in counts.items() if count]
    if not boxes:
        return "nothing: there is no box that counts"
    empty = f", {numbers['images_without_boxes']} of all without a box" if numbers["images_without_boxes"] else ""
    never = f"; never: {', '.join(sorted(set(counts) - set(present))[:10])}" if len(present) < len(counts) else ""
    return f"{boxes} boxes of {len(present)} classes in {images} images{empty}{never}"


def _alike(names: list[str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(" ".join(name.replace("_", " ").replace("-", " ").casefold().split()), []).append(name)
    return [" = ".join(repr(name) for name in group) for group in groups.values() if len(group) > 1]


def _of(data: Dataset, row: int) -> Any:
    return data.items[row].boxes


def _areas(xyxy: np.ndarray) -> np.ndarray:
    return (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])


def _twice(data: Dataset, row: int) -> int:
    boxes = _of(data, row)
    alike = (iou(boxes.xyxy, boxes.xyxy) > 0.95) & (boxes.labels[:, None] == boxes.labels[None])
    return int(np.triu(alike, 1).any(axis=0).sum())
