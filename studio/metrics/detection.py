"""Average precision of detections: COCO's twelve numbers by faster-coco-eval, and VOC's AP50 by both of its rules."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from studio.data.boxes import Boxes, Detections, iou
from studio.data.masks.instances import Instances

#: names of COCO's twelve numbers, in the order of its summary
TWELVE = (
    "map", "map_50", "map_75", "map_small", "map_medium", "map_large", "mar_1", "mar_10", "mar_100", "mar_small",
    "mar_medium", "mar_large",
)  # fmt: skip


def coco_ap(truths: Sequence[Boxes], found: Sequence[Detections], classes: Sequence[str]) -> dict[str, Any]:
    """COCO's twelve numbers in 0..1 (`TWELVE`), and `map_per_class` {class: AP}; None where nothing is there to find.

    `truths[i]` and `found[i]` are of image i, in pixels of one and the same size: small is below 32 x 32 pixels,
    large above 96 x 96. Boxes to ignore count as crowds: finding them is neither right nor wrong.
    Lin et al. 2014, Microsoft COCO.
    """
    return _summary(_truths(truths, classes), _found(found), "bbox", classes)


def coco_mask_ap(truths: Sequence[Instances], found: Sequence[Instances], classes: Sequence[str]) -> dict[str, Any]:
    """As `coco_ap`, where two things overlap as far as their masks do; sizes are areas of masks."""
    truth = _truths([image.boxes for image in truths], classes)
    for entry, image in zip(truth["images"], truths, strict=True):
        entry["width"], entry["height"] = image.size
    for box, mask in zip(truth["annotations"], _masks(truths), strict=True):
        box.update(mask)
    answers = _found([image.detections for image in found])
    for answer, mask in zip(answers, _masks(found), strict=True):
        del answer["bbox"]  # else its area would be that of the box
        answer["segmentation"] = mask["segmentation"]
    return _summary(truth, answers, "segm", classes)


def _masks(images: Sequence[Instances]) -> list[dict[str, Any]]:
    """The mask of each thing of all images, as COCO has it."""
    return [
        {"segmentation": {**lengths, "counts": lengths["counts"].encode()}, "area": float(area)}
        for image in images
        for lengths, area in zip(image.lengths, image.areas, strict=True)
    ]


def _summary(truths: dict[str, Any], found: list[dict[str, Any]], kind: str, classes: Sequence[str]) -> dict[str, Any]:
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(truths, print_function=_silent)
    judge = COCOeval_faster(truth, truth.loadRes(found), iouType=kind, print_function=_silent)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    numbers = {name: _known(value) for name, value in zip(TWELVE, judge.stats, strict=False)}
    precision = judge.eval["precision"][:, :, :, 0, -1]  # [IoU, recall, class], all sizes, 100 an image
    per_class = {name: _mean(precision[:, :, label]) for label, name in enumerate(classes)}
    return {**numbers, "map_per_class": per_class}


def known_and_new(per_class: dict[str, float | None], known: Sequence[str]) -> dict[str, float | None]:
    """`map_known` and `map_new`: mean AP of the classes `known` before training and of the others; None for no class.

    Wang et al. 2020, Frustratingly Simple Few-Shot Object Detection, section 4, where they are called bAP and nAP.
    """
    of = {True: list[float](), False: list[float]()}
    for name, area in per_class.items():
        if area is not None:
            of[name in known].append(area)
    return {
        key: sum(areas) / len(areas) if areas else None
        for key, areas in (("map_known", of[True]), ("map_new", of[False]))
    }


def voc_ap50(
    truths: Sequence[Boxes], found: Sequence[Detections], classes: int, eleven_points: bool = False
) -> list[float | None]:
    """AP at IoU 0.5 of each class by VOC: the area under the envelope (2010 on), or its mean at 11 recalls (2007).

    None for classes that are nowhere. Everingham et al. 2010, section 4.2.
    """
    return [_voc_ap(*precision_recall(truths, found, label), eleven_points) for label in range(classes)]


def precision_recall(
    truths: Sequence[Boxes], found: Sequence[Detections], label: int, overlap: float = 0.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Precision, recall and score [K] as the score falls, and how many objects of class `label` there are.

    A detection takes the object it overlaps most; a second one on it is wrong; those on ignored boxes don't count.
    """
    scores, right = [], []
    total = sum(int(((truth.labels == label) & ~truth.ignore).sum()) for truth in truths)
    for truth, guess in zip(truths, found, strict=True):
        guess = _of_class(guess, label)
        matched = match_voc(truth, guess, label, overlap)
        scores.append(guess.scores[matched >= 0])
        right.append(matched[matched >= 0])
    score, hit = np.concatenate([*scores, np.zeros(0)]), np.concatenate([*right, np.zeros(0)])
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(hit[order])
    recall = hits / total if total else np.zeros(len(hits))
    return hits / np.arange(1, len(hits) + 1), recall, score[order], total


def match_voc(truth: Boxes, guess: Detections, label: int, overlap: float) -> np.ndarray:
    """For detections of one class, the surest first: 1 right, 0 wrong, -1 on an ignored box."""
    rows = np.flatnonzero(truth.labels == label)
    overlaps = iou(guess.xyxy, truth.xyxy[rows])
    taken = np.zeros(len(rows), bool)
    out = np.zeros(len(guess), np.int64)
    for number in range(len(guess) if len(rows) else 0):
        best = int(overlaps[number].argmax())
        if overlaps[number, best] < overlap:
            continue
        if truth.ignore[rows[best]]:
            out[number] = -1
        elif not taken[best]:
            taken[best], out[number] = True, 1
    return out


def best_threshold(truths: Sequence[Boxes], found: Sequence[Detections], classes: int) -> float:
    """The score at which the F1 of all classes together is highest (IoU 0.5); 0.5 where nothing is right."""
    scores, hits, total = [], [], 0
    for label in range(classes):
        precision, _, score, there = precision_recall(truths, found, label)
        counts = np.round(precision * np.arange(1, len(precision) + 1))
        scores.append(score)
        hits.append(np.diff(counts, prepend=0))
        total += there
    score, hit = np.concatenate([*scores, np.zeros(0)]), np.concatenate([*hits, np.zeros(0)])
    if not hit.any():
        return 0.5
    order = np.argsort(-score, kind="stable")
    f1 = 2 * np.cumsum(hit[order]) / (np.arange(1, len(hit) + 1) + total)
    return float(score[order][int(f1.argmax())])


def _voc_ap(precision: np.ndarray, recall: np.ndarray, _: np.ndarray, total: int, eleven_points: bool) -> float | None:
    if total == 0:
        return None
    if len(precision) == 0:
        return 0.0
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if eleven_points:
        places = np.searchsorted(recall, np.linspace(0, 1, 11) - 1e-12)
        return float(np.append(envelope, 0.0)[places].mean())
    return float((np.diff(recall, prepend=0) * envelope).sum())


def _of_class(guess: Detections, label: int) -> Detections:
    rows = guess.labels == label
    return Detections(guess.xyxy[rows], guess.labels[rows], guess.scores[rows]).above(-np.inf)


def _truths(truths: Sequence[Boxes], classes: Sequence[str]) -> dict[str, Any]:
    boxes = [
        {
            "image_id": image, "category_id": int(label) + 1, "bbox": _xywh(corners),
            "area": float((corners[2] - corners[0]) * (corners[3] - corners[1])), "iscrowd": int(ignore),
        }
        for image, truth in enumerate(truths, start=1)
        for corners, label, ignore in zip(truth.xyxy.astype(float), truth.labels, truth.ignore, strict=True)
    ]  # fmt: skip
    return {
        "info": {},
        "images": [{"id": image} for image in range(1, len(truths) + 1)],
        "categories": [{"id": label, "name": name} for label, name in enumerate(classes, start=1)],
        "annotations": [{"id": number, **box} for number, box in enumerate(boxes, start=1)],
    }


def _found(found: Sequence[Detections]) -> list[dict[str, Any]]:
    return [
        {"image_id": image, "category_id": int(label) + 1, "bbox": _xywh(corners), "score": float(score)}
        for image, guess in enumerate(found, start=1)
        for corners, label, score in zip(guess.xyxy.astype(float), guess.labels, guess.scores, strict=True)
    ]


def _xywh(corners: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = corners.tolist()
    return [x1, y1, x2 - x1, y2 - y1]


def _known(value: float) -> float | None:
    """COCO writes -1 where there is nothing to find."""
    return None if value < 0 else float(value)


def _mean(precision: np.ndarray) -> float | None:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else None


def _silent(*_: object) -> None:
    """faster-coco-eval prints its tables otherwise."""
