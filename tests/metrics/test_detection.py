"""AP is that of pycocotools, VOC's AP follows its definition, and every error has its name."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.data.boxes import Boxes, Detections, iou
from studio.data.masks.instances import Instances
from studio.metrics.detection import TWELVE, best_threshold, coco_ap, coco_mask_ap, precision_recall, voc_ap50
from studio.metrics.detection_errors import KINDS, count_errors, judge

NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))


def some_boxes(draw: np.random.Generator, count: int) -> np.ndarray:
    start = draw.uniform(0, 300, (count, 2))
    return np.concatenate([start, start + draw.uniform(4, 150, (count, 2))], axis=1)


def a_set(seed: int, images: int = 12, classes: int = 4, crowd: float = 0.1, extra: int = 6, most: int = 8):
    """Truths, and detections that are near them, of them twice, or of nothing."""
    draw = np.random.default_rng(seed)
    truths, found = [], []
    for _ in range(images):
        count = int(draw.integers(0, most + 1))
        corners, labels = some_boxes(draw, count), draw.integers(0, classes - 1, count)  # the last class is nowhere
        truths.append(Boxes.of(corners, labels, draw.random(count) < crowd))
        near = np.concatenate([corners + draw.normal(0, 5, corners.shape), corners, some_boxes(draw, extra)])
        guesses = np.concatenate([labels, labels, draw.integers(0, classes, extra)])
        scores = np.round(draw.random(len(near)), 2)  # with ties
        found.append(Detections(near.astype(np.float32), guesses, scores.astype(np.float32)))
    return truths, found, [f"class {label}" for label in range(classes)]


def by_pycocotools(truths, found, classes):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def xywh(box):
        return [float(box[0]), float(box[1]), float(box[2]) - float(box[0]), float(box[3]) - float(box[1])]

    annotations, results = [], []
    for image, (truth, guess) in enumerate(zip(truths, found, strict=True), start=1):
        for box, label, ignore in zip(truth.xyxy, truth.labels, truth.ignore, strict=True):
            shape = xywh(box)
            annotations.append({
                "id": len(annotations) + 1, "image_id": image, "category_id": int(label) + 1, "bbox": shape,
                "area": shape[2] * shape[3], "iscrowd": int(ignore),
            })  # fmt: skip
        for box, label, score in zip(guess.xyxy, guess.labels, guess.scores, strict=True):
            results.append({"image_id": image, "category_id": int(label) + 1, "bbox": xywh(box), "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {}, "images": [{"id": i + 1} for i in range(len(truths))], "annotations": annotations,
            "categories": [{"id": label + 1, "name": name} for label, name in enumerate(classes)],
        }  # fmt: skip
        truth.createIndex()
        judge_ = COCOeval(truth, truth.loadRes(results) if results else COCO(), "bbox")
        if not results:
            judge_.cocoDt.dataset = {"images": truth.dataset["images"], "annotations": [], "categories": []}
            judge_.cocoDt.createIndex()
        judge_.evaluate()
        judge_.accumulate()
        judge_.summarize()
    precision = judge_.eval["precision"][:, :, :, 0, -1]
    per_class = [p[p > -1].mean() if (p > -1).any() else -1 for p in np.moveaxis(precision, 2, 0)]
    return judge_.stats, per_class


CASES = {
    "random": a_set(1),
    "large": a_set(2, images=40, classes=9, extra=20),
    "crowds": a_set(3, crowd=0.6),
    "over a hundred an image": a_set(4, images=2, extra=150, most=40),
    "one image without anything": ([Boxes.of([], [])], [NOTHING], ["a"]),
    "no boxes at all": ([Boxes.of([], [])] * 3, a_set(5, images=3)[1], ["a", "b", "c", "d"]),
    "nothing found": (a_set(6)[0], [NOTHING] * 12, ["a", "b", "c", "d"]),
    "one box found exactly": (
        [Boxes.of([[1, 2, 30, 40]], [0])],
        [Detections(np.array([[1, 2, 30, 40]], np.float32), np.array([0]), np.array([0.5], np.float32))],
        ["a"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_all_twelve_numbers_and_those_of_each_class_are_pycocotools(case):
    truths, found, classes = CASES[case]
    numbers = coco_ap(truths, found, classes)
    expected, per_class = by_pycocotools(truths, found, classes)
    ours = [-1 if numbers[name] is None else numbers[name] for name in TWELVE]
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    each = [-1 if value is None else value for value in numbers["map_per_class"].values()]
    np.testing.assert_allclose(each, per_class, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 5))
def test_ap_is_pycocotools_on_any_set(seed, images, classes):
    truths, found, names = a_set(seed, images, classes)
    numbers = coco_ap(truths, found, names)
    expected, _ = by_pycocotools(truths, found, names)
    np.testing.assert_allclose([-1 if numbers[n] is None else numbers[n] for n in TWELVE], expected, atol=1e-4)


def hand_made():
    """Two objects; right at 0.9, wrong at 0.8, right at 0.7: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1."""
    truth = Boxes.of([[0, 0, 10, 10], [20, 20, 30, 30]], [0, 0])
    boxes = np.array([[0, 0, 10, 10], [50, 50, 60, 60], [20, 20, 30, 30]], np.float32)
    return [truth], [Detections(boxes, np.zeros(3, np.int64), np.array([0.9, 0.8, 0.7], np.float32))]


def test_voc_ap_is_the_area_under_the_envelope_and_the_mean_at_eleven_recalls():
    truths, found = hand_made()
    assert voc_ap50(truths, found, 2) == [pytest.approx(0.5 * 1 + 0.5 * 2 / 3), None]
    assert voc_ap50(truths, found, 2, eleven_points=True)[0] == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)


def test_precision_and_recall_follow_the_score():
    precision, recall, score, total = precision_recall(*hand_made(), label=0)
    np.testing.assert_allclose(precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(recall, [0.5, 0.5, 1])
    assert total == 2 and score[0] > score[-1]


def test_the_threshold_is_where_f1_is_highest():
    truths, found = hand_made()
    assert best_threshold(truths, found, 1) == pytest.approx(0.7)  # F1 2/3, 1/2, 4/5
    assert best_threshold(truths, [NOTHING], 1) == 0.5


def test_a_detection_on_a_difficult_object_is_neither_right_nor_wrong():
    truth = Boxes.of([[0, 0, 10, 10]], [0], np.array([True]))
    guess = Detections(truth.xyxy, truth.labels, np.array([0.9], np.float32))
    assert precision_recall([truth], [guess], 0)[3] == 0
    assert judge(truth, guess).kinds.tolist() == [-1]
    assert coco_ap([truth], [guess], ["a"])["map"] is None


def test_every_error_has_its_name():
    truth = Boxes.of([[0, 0, 10, 10], [100, 100, 120, 120], [200, 0, 220, 20]], [0, 1, 1])
    guesses = [
        ([0, 0, 10, 10], 0, "right"),
        ([0, 0, 10, 9], 0, "duplicate"),
        ([100, 100, 120, 120], 0, "wrong class"),
        ([212, 0, 232, 20], 1, "badly placed"),
        ([300, 300, 320, 320], 1, "background"),
    ]
    boxes = np.array([box for box, _, _ in guesses], np.float32)
    scores = np.linspace(0.9, 0.5, len(guesses), dtype=np.float32)
    seen = judge(truth, Detections(boxes, np.array([label for _, label, _ in guesses]), scores))
    assert [KINDS[kind] for kind in seen.kinds] == [kind for _, _, kind in guesses]
    assert count_errors([truth], [seen], ["a", "b"]) == [["a", 1, 1, 0, 1, 0, 1, 0], ["b", 2, 0, 2, 0, 1, 0, 1]]


def test_overlap_is_intersection_over_union():
    one = np.array([[0, 0, 2, 2], [5, 5, 5, 5]], np.float32)
    assert iou(one, np.array([[1, 1, 3, 3], [0, 0, 2, 2], [5, 5, 5, 5]], np.float32)) == pytest.approx(
        np.array([[1 / 7, 1, 0], [0, 0, 0]])
    )


def test_ap_of_masks_counts_the_overlap_of_masks_not_of_boxes():
    first, second, half = (np.zeros((40, 50), bool) for _ in range(3))
    first[3:20, 4:30] = second[22:39, 4:30] = half[11:20, 4:30] = True
    size, scores = (50, 40), np.array([0.5, 0.9])
    truths = [Instances.of([(0, first), (1, second)], size), Instances.of([], size)]
    found = [Instances.of([(0, half), (1, second)], size, scores), Instances.of([], size)]
    numbers = coco_mask_ap(truths, found, ["a", "b"])
    assert numbers["map_per_class"] == {"a": pytest.approx(0.1), "b": 1.0}  # 9 of 17 rows: right at IoU 0.5 alone
    assert (numbers["map"], numbers["map_50"], numbers["map_75"]) == (pytest.approx(0.55), 1.0, 0.5)
    ring = first.copy()
    ring[5:18, 6:28] = False  # the box is right, the mask is not
    assert coco_mask_ap(truths, [Instances.of([(0, ring)], size), found[1]], ["a", "b"])["map_50"] == 0
    assert coco_mask_ap(truths, [Instances.of([], size)] * 2, ["a", "b"])["map"] == 0
