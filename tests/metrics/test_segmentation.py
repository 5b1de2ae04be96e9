"""One confusion matrix, equal to a slow count and to the formulas of mmseg and cityscapesScripts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.data.masks.class_map import VOID
from studio.metrics.segmentation import boundary_f, confusion_of, per_image_iou, scores_of, segmentation_report


def maps(seed: int, classes: int, kind: str):
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, classes, (7, 9)).astype(np.uint8)
    guess = np.where(draw.random(truth.shape) < 0.6, truth, draw.integers(0, classes, truth.shape)).astype(np.uint8)
    truth[draw.random(truth.shape) < 0.2] = VOID
    if kind == "absent":  # of the truth, though guessed
        truth[truth == classes - 1] = 0
    elif kind == "nowhere":
        truth[truth == classes - 1], guess[guess == classes - 1] = 0, 0
    elif kind == "all void":
        truth[:] = VOID
    elif kind == "one class":
        truth[:], guess[:] = 0, 0
    elif kind == "unsure":
        guess[draw.random(guess.shape) < 0.3] = VOID
    return truth, guess


def slowly(truth: np.ndarray, guess: np.ndarray, classes: int) -> dict[str, list[float]]:
    """TP, FP and FN of each class, pixel by pixel, in Python's floats."""
    found = {name: [0.0] * classes for name in ("tp", "fp", "fn")}
    for real, said in zip(truth.reshape(-1).tolist(), guess.reshape(-1).tolist(), strict=True):
        if real == VOID:
            continue
        if real == said:
            found["tp"][real] += 1
        else:
            found["fn"][real] += 1
            if said < classes:
                found["fp"][said] += 1
    return found


def mmseg(found) -> tuple[float, float, float]:
    """mIoU, mAcc and aAcc as IoUMetric has them: areas of intersection, union and label, and nanmean."""
    tp, fp, fn = (np.array(found[name]) for name in ("tp", "fp", "fn"))
    with np.errstate(invalid="ignore", divide="ignore"):
        iou, acc, total = tp / (tp + fp + fn), tp / (tp + fn), tp.sum() / (tp + fn).sum()
    means = [float(one[~np.isnan(one)].mean()) if (~np.isnan(one)).any() else math.nan for one in (iou, acc)]
    return means[0], means[1], float(total)


def cityscapes(found) -> float:
    """Mean of the class IoUs as evalPixelLevelSemanticLabeling has it: NaN for an empty denominator, left out."""
    scores = []
    for tp, fp, fn in zip(found["tp"], found["fp"], found["fn"], strict=True):
        scores.append(math.nan if tp + fp + fn == 0 else tp / (tp + fp + fn))
    known = [score for score in scores if not math.isnan(score)]
    return sum(known) / len(known) if known else math.nan


KINDS = ("plain", "absent", "nowhere", "all void", "one class", "unsure")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6))
def test_every_number_is_that_of_a_slow_count(kind, seed, classes):
    truth, guess = maps(seed, classes, kind)
    found, matrix = slowly(truth, guess, classes), confusion_of(truth, guess, classes)
    np.testing.assert_array_equal(np.diag(matrix), found["tp"])
    np.testing.assert_array_equal(matrix.sum(axis=1) - np.diag(matrix), found["fn"])
    np.testing.assert_array_equal(matrix.sum(axis=0)[:-1] - np.diag(matrix), found["fp"])
    scores = scores_of(matrix, "mmseg")
    ours = (scores.miou, scores.mean_accuracy, scores.pixel_accuracy)
    np.testing.assert_allclose(ours, mmseg(found), rtol=1e-12)
    np.testing.assert_allclose(scores_of(matrix, "cityscapes").miou, cityscapes(found), rtol=1e-12)
    total = sum(found["tp"]) + sum(found["fn"])
    weighed = [
        (tp + fn) / total * tp / (tp + fp + fn)
        for tp, fp, fn in zip(found["tp"], found["fp"], found["fn"], strict=True)
        if tp + fn
    ]
    np.testing.assert_allclose(scores.fwiou, sum(weighed) if total else math.nan, rtol=1e-12)


def test_the_conventions_differ_where_a_class_is_guessed_but_nowhere():
    truth, guess = np.zeros((2, 2), np.uint8), np.array([[0, 0], [0, 1]], np.uint8)
    matrix = confusion_of(truth, guess, 3)
    values = {name: scores_of(matrix, name).miou for name in ("mmseg", "cityscapes", "present", "zero")}
    assert values == pytest.approx({"mmseg": 0.375, "cityscapes": 0.375, "present": 0.75, "zero": 0.25})
    with pytest.raises(ValueError, match="expected one of"):
        scores_of(matrix, "other")
    with pytest.raises(ValueError, match="one shape"):
        confusion_of(truth, guess[:1], 3)


def test_16_of_19_classes_are_the_mean_of_19_times_19_over_16():
    truth, guess = maps(3, 19, "plain")
    truth[truth >= 16], guess[guess >= 16] = 0, 0  # the data has three classes less
    matrix = confusion_of(truth, guess, 19)
    assert scores_of(matrix, "zero", only=range(16)).miou == pytest.approx(scores_of(matrix, "zero").miou * 19 / 16)


def test_dice_of_two_classes_is_that_of_the_foreground():
    truth, guess = maps(5, 2, "plain")
    inside, said = (truth == 1), (guess == 1) & (truth != VOID)
    report = segmentation_report([confusion_of(truth, guess, 2)])
    assert report["dice"] == pytest.approx(2 * (inside & said).sum() / (inside.sum() + said.sum()))
    assert np.isnan(report["miou_ci95"]) and report["images"] == 1


def test_the_interval_is_that_of_drawing_images_anew():
    matrices = [confusion_of(*maps(seed, 3, "plain"), 3) for seed in range(12)]
    report = segmentation_report(matrices, draws=150)
    draw = np.random.default_rng(1)
    means = [scores_of(sum(matrices[i] for i in draw.integers(0, 12, 12))).miou for _ in range(150)]
    half = (np.percentile(means, 97.5) - np.percentile(means, 2.5)) / 2
    assert report["miou_ci95"] == pytest.approx(half, rel=0.35)
    assert report["image_iou"] == pytest.approx(per_image_iou(matrices).mean())


def test_boundary_f_is_1_for_the_same_map_and_falls_with_the_shift():
    truth = np.zeros((40, 40), np.uint8)
    truth[10:30, 10:30] = 1
    shifted = {by: np.roll(truth, by, axis=1) for by in (0, 1, 4)}
    values = [boundary_f(truth, shifted[by], 1, reach=1) for by in (0, 1, 4)]
    assert values[0] == values[1] == 1.0 and 0 < values[2] < 0.7
    assert np.isnan(boundary_f(truth, truth, 2)) and boundary_f(truth, truth * 0, 1) == 0.0
    hidden = truth.copy()
    hidden[:, 20:] = VOID  # nothing is asked where the truth is not known
    assert boundary_f(hidden, np.where(hidden == VOID, 0, truth).astype(np.uint8), 1, reach=1) == 1.0
