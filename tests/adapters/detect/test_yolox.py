"""YOLOX: which places learn which box, and what its numbers mean in pixels."""

import pytest
import torch

from adapters.detect.sim_ota import assign
from adapters.detect.yolox import _boxes, _grid, _iou


def places(side: int = 64, stride: int = 8):
    grid = _grid([torch.zeros(1, 6, side // stride, side // stride)], side)
    return grid


def test_places_lie_in_the_middle_of_their_cells():
    centres, strides = places()
    assert centres[0].tolist() == [4, 4] and centres[1].tolist() == [12, 4] and centres[8].tolist() == [4, 12]
    assert set(strides.tolist()) == {8.0}


def test_an_answer_of_zeros_is_a_box_of_one_stride_around_its_place():
    centres, strides = places()
    boxes = _boxes(torch.zeros(1, len(centres), 4), centres, strides)[0]
    assert boxes[0].tolist() == [0, 0, 8, 8] and boxes[9].tolist() == [8, 8, 16, 16]
    moved = _boxes(torch.tensor([[[1.0, 0.0, 0.0, torch.log(torch.tensor(2.0))]]]), centres[:1], strides[:1])[0]
    assert moved[0].tolist() == pytest.approx([8, -4, 16, 12])


def test_overlaps_row_by_row():
    first = torch.tensor([[0.0, 0, 10, 10], [0, 0, 4, 4]])
    assert _iou(first, torch.tensor([[0.0, 0, 10, 5], [8, 8, 9, 9]])).tolist() == [0.5, 0.0]


def test_each_box_gets_central_places_and_no_place_two_boxes():
    centres, strides = places()
    truth, labels = torch.tensor([[0.0, 0, 24, 24], [16, 16, 60, 60]]), torch.tensor([0, 1])
    boxes = _boxes(torch.zeros(1, len(centres), 4), centres, strides)[0]
    at, rows, overlaps = assign(
        boxes, torch.zeros(len(centres), 2), torch.zeros(len(centres)), centres, strides, truth, labels
    )
    assert set(rows.tolist()) == {0, 1} and len(at) == len(set(at.tolist()))
    for place, row in zip(at, rows, strict=True):
        assert (centres[place] > truth[row, :2]).all() and (centres[place] < truth[row, 2:]).all()
    torch.testing.assert_close(overlaps, _iou(boxes[at], truth[rows]))


def test_a_better_box_takes_more_places():
    centres, strides = places()
    truth, labels = torch.tensor([[8.0, 8, 40, 40]]), torch.tensor([0])
    logits, objectness = torch.zeros(len(centres), 1), torch.zeros(len(centres))
    poor = _boxes(torch.zeros(1, len(centres), 4), centres, strides)[0]
    good = truth.expand(len(centres), 4)
    few = assign(poor, logits, objectness, centres, strides, truth, labels)[0]
    many = assign(good, logits, objectness, centres, strides, truth, labels)[0]
    assert len(few) == 1 and len(many) == 10


def test_a_place_that_says_the_right_class_costs_less():
    centres, strides = places()
    truth, labels = torch.tensor([[8.0, 8, 40, 40]]), torch.tensor([1])
    logits = torch.full((len(centres), 2), -5.0)
    logits[27, 1] = 5.0  # the place at (28, 28)
    boxes = _boxes(torch.zeros(1, len(centres), 4), centres, strides)[0]
    assert assign(boxes, logits, torch.zeros(len(centres)), centres, strides, truth, labels)[0].tolist() == [27]


def test_a_image_without_boxes_teaches_no_place():
    centres, strides = places()
    at, rows, overlaps = assign(
        torch.zeros(len(centres), 4), torch.zeros(len(centres), 2), torch.zeros(len(centres)), centres, strides,
        torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64),
    )  # fmt: skip
    assert len(at) == len(rows) == len(overlaps) == 0
