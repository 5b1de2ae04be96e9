"""Fused boxes are those of ensemble-boxes, or of the formula written out."""

from typing import get_args

import numpy as np
import pytest
from ensemble_boxes import nms, non_maximum_weighted, weighted_boxes_fusion
from ensemble_boxes.ensemble_boxes_nms import cpu_soft_nms_float

from adapters.detect.run.fusion import FAINT, FUSIONS, SIGMA, fuse
from adapters.detect.task import DetectEval
from studio.data.boxes import Detections, iou

KINDS = ["random", "one class", "one model is empty", "identical", "one box", "far apart"]


def answers(kind: str, seed: int, models: int = 3) -> list[Detections]:
    """What `models` detectors say of a few things, in 0..1; scores all differ."""
    draw = np.random.default_rng((seed, KINDS.index(kind)))
    things = draw.uniform(0.05, 0.5, (6, 4))
    out = []
    for model in range(models):
        count = 0 if kind == "one model is empty" and model == 1 else 1 if kind == "one box" else 25
        spread = 0.0 if kind == "identical" else 0.4 if kind == "far apart" else 0.03
        centre = np.clip(things[draw.integers(6, size=count)] + draw.normal(0, spread, (count, 4)), 0.02, 0.6)
        corners = np.concatenate([centre[:, :2], centre[:, :2] + centre[:, 2:] * 0.6], axis=1)
        labels = np.zeros(count, np.int64) if kind == "one class" else draw.integers(3, size=count)
        scores = draw.uniform(0.05, 1, count)
        out.append(Detections(corners.astype(np.float32), labels, scores.astype(np.float32)))
    return out


def apart(found: list[Detections]) -> tuple[list, list, list]:
    """As ensemble-boxes wants them."""
    return (
        [one.xyxy.astype(np.float64) for one in found], [one.scores.astype(np.float64) for one in found],
        [one.labels for one in found],
    )  # fmt: skip


def same(ours: Detections, boxes, scores, labels) -> None:
    """The same boxes, whatever the order of equal scores."""
    mine = sorted(np.column_stack([ours.labels, ours.scores, ours.xyxy]).tolist())
    theirs = sorted(np.column_stack([labels, scores, boxes]).tolist())
    assert len(mine) == len(theirs)
    np.testing.assert_allclose(mine, theirs, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_boxes_are_those_of_ensemble_boxes(kind, seed):
    found = answers(kind, seed)
    for overlap in (0.4, 0.55, 0.7):
        same(fuse(found, "wbf", overlap), *weighted_boxes_fusion(*apart(found), iou_thr=overlap))
        same(fuse(found, "nmw", overlap), *non_maximum_weighted(*apart(found), iou_thr=overlap))
        same(fuse(found, "nms", overlap), *nms(*apart(found), iou_thr=overlap))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("how", "method"), [("soft-nms-linear", 1), ("soft-nms", 2)])
def test_softened_scores_are_those_of_ensemble_boxes(kind, how, method):
    """By its inner function: the outer one gives back the scores as they were before they were softened."""
    found = answers(kind, 7)
    ours = fuse(found, how, 0.5)
    boxes, scores, labels = (np.concatenate(part) for part in apart(found))
    for label in np.unique(labels):
        of = labels == label
        softened = scores[of].copy()
        kept = cpu_soft_nms_float(boxes[of].copy(), softened, Nt=0.5, sigma=SIGMA, thresh=FAINT, method=method)
        mine = ours.labels == label
        order = np.argsort(-softened[softened > FAINT], kind="stable")
        np.testing.assert_allclose(ours.scores[mine], softened[softened > FAINT][order], atol=1e-5)
        np.testing.assert_allclose(ours.xyxy[mine], boxes[of][kept][order], atol=1e-5)


def test_models_that_are_believed_more_pull_the_box_their_way():
    found, trust = answers("random", 3), [2.0, 1.0, 0.5]
    same(fuse(found, "wbf", 0.55, trust), *weighted_boxes_fusion(*apart(found), weights=trust, iou_thr=0.55))
    same(fuse(found, "nmw", 0.55, trust), *non_maximum_weighted(*apart(found), weights=trust, iou_thr=0.55))


def test_voting_is_the_mean_of_what_overlaps_by_score():
    found = answers("one class", 2)
    xyxy, scores, _ = (np.concatenate(part) for part in apart(found))
    voted, plain = fuse(found, "voting", 0.5), fuse(found, "nms", 0.5)
    np.testing.assert_array_equal(voted.scores, plain.scores)
    for box, kept in zip(voted.xyxy, plain.xyxy, strict=True):
        near = iou(kept[None], xyxy)[0] > 0.5
        np.testing.assert_allclose(box, (scores[near, None] * xyxy[near]).sum(0) / scores[near].sum(), atol=1e-5)


@pytest.mark.parametrize("how", FUSIONS)
def test_nothing_found_and_boxes_without_area_give_nothing(how):
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
    flat = Detections(np.array([[3, 3, 3, 9]], np.float32), np.zeros(1, np.int64), np.ones(1, np.float32))
    for found in ([], [nothing], [nothing, flat]):
        out = fuse(found, how)
        assert len(out) == 0 and out.xyxy.shape == (0, 4)


@pytest.mark.parametrize("how", FUSIONS)
def test_pixels_and_shares_give_the_same_and_the_surest_come_first(how):
    found = answers("random", 11)
    large = [Detections(one.xyxy * 640, one.labels, one.scores) for one in found]
    shares, pixels = fuse(found, how), fuse(large, how)
    np.testing.assert_allclose(shares.xyxy * 640, pixels.xyxy, atol=1e-3)
    assert (np.diff(pixels.scores) <= 0).all()
    assert len(fuse(found, how, most=4)) == 4


def test_a_recipe_knows_every_fusion():
    assert set(FUSIONS) | {None} == {*get_args(get_args(DetectEval.model_fields["fusion"].annotation)[0]), None}


def test_an_unknown_fusion_is_refused():
    with pytest.raises(ValueError, match="expected one of nms"):
        fuse([], "median")
