"""A click marks what looks alike; a film's steadiness is that of its maps, less the motion of the whole frame."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from adapters.segment.tools.click import _points, mark, otsu
from studio.core.errors import UsageError
from studio.data.preprocess import Preprocess
from studio.metrics.temporal import consistency, motion, overlapping


class Colours(nn.Module):
    """A backbone whose features are the colours of 8 x 8 pixels, in 32 dimensions."""

    kind, dim = "cnn", 32

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, self.dim, 1)
        self.module = nn.Identity()

    def feature_map(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(self.mix(images), 8)


@pytest.fixture
def squares() -> Image.Image:
    """Two red squares and a green one on blue."""
    pixels = np.full((128, 192, 3), (20, 40, 200), np.uint8)
    pixels[32:64, 32:64] = pixels[32:64, 128:160] = (220, 30, 20)
    pixels[80:112, 80:112] = (20, 200, 40)
    return Image.fromarray(pixels)


def iou(marked: np.ndarray, *boxes: tuple[int, int, int, int]) -> float:
    truth = np.zeros_like(marked)
    for top, bottom, left, right in boxes:
        truth[top:bottom, left:right] = True
    return float((marked & truth).sum() / (marked | truth).sum())


def test_a_click_marks_the_thing_and_whole_all_that_look_alike(squares):
    torch.manual_seed(0)
    backbone, preprocess = Colours(), Preprocess(64)
    first, second, green = (32, 64, 32, 64), (32, 64, 128, 160), (80, 112, 80, 112)
    marked = mark(backbone, preprocess, squares, [(40, 40)], [(5, 5), (90, 90)])
    assert iou(marked, first) > 0.5
    both = mark(backbone, preprocess, squares, [(40, 40)], [(5, 5), (90, 90)], whole=True)
    assert iou(both, first, second) > 0.5
    assert iou(mark(backbone, preprocess, squares, [(90, 90)]), green) > 0.5  # by Otsu's cut alone


def test_points_come_in_pairs_and_lie_in_the_image():
    assert _points("inside", [1, 2, 3, 4], (10, 10)) == [(1, 2), (3, 4)]
    with pytest.raises(UsageError, match="3 numbers; expected pairs"):
        _points("inside", [1, 2, 3], (10, 10))
    with pytest.raises(UsageError, match="inside: the point 10, 2 is not in the image, which has 10 x 10"):
        _points("inside", [10, 2], (10, 10))


@given(st.integers(0, 50))
def test_otsu_s_cut_has_the_most_variance_between_its_sides(seed):
    draw = np.random.default_rng(seed)
    values = np.concatenate([draw.normal(-1, 0.2, 300), draw.normal(1, 0.3, 200)])
    cut = otsu(values)
    low, high = values[values < cut], values[values >= cut]
    found = len(low) * len(high) * (low.mean() - high.mean()) ** 2
    for other in np.linspace(values.min(), values.max(), 60)[1:-1]:
        low, high = values[values < other], values[values >= other]
        assert len(low) * len(high) * (low.mean() - high.mean()) ** 2 <= found * 1.02
    assert otsu(np.ones(4)) < 1  # nothing to part: all of it


@settings(max_examples=25, deadline=None)
@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 99))
def test_the_motion_of_a_frame_is_found_and_taken_out(down, right, seed):
    draw = np.random.default_rng(seed)
    scene = np.kron(draw.uniform(0, 255, (20, 25)), np.ones((4, 4)))  # 80 x 100
    before = scene[10:70, 10:90]
    after = scene[10 - down : 70 - down, 10 - right : 90 - right]
    assert motion(before, after) == (down, right)
    maps = (scene // 64).astype(np.uint8)
    moved = maps[10:70, 10:90], maps[10 - down : 70 - down, 10 - right : 90 - right]
    assert consistency(*moved, (down, right), 4) == 1.0
    first, second = overlapping(before, after, (down, right))
    assert np.array_equal(first, second)


def test_a_still_frame_does_not_move_and_unlike_maps_are_not_steady():
    frame = np.random.default_rng(0).uniform(0, 255, (40, 50))
    assert motion(frame, frame) == (0, 0) == motion(np.zeros((8, 8)), np.zeros((8, 8)))
    left, half = np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.uint8)
    half[:, 3:] = 1
    assert consistency(left, half, (0, 0), 3) == pytest.approx(0.25)  # 0.5 of one class, 0 of the other
    assert np.isnan(consistency(left, half, (9, 0), 3))
