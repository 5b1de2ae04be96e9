"""Figures draw what they are given, at any size, with any name."""

import io

import numpy as np
import pytest
from PIL import Image

from studio.figures import (
    confusion_figure,
    curves_figure,
    episodes_figure,
    grid_figure,
    reliability_figure,
    tsne_figure,
)
from studio.figures.maps import project


def drawn(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=60)
    return np.asarray(Image.open(buffer).convert("L"))


@pytest.mark.parametrize("classes", [2, 12, 60])
def test_confusion_of_few_and_many_classes(classes):
    matrix = np.eye(classes, dtype=int) * 5
    matrix[0, 1] = 3
    assert drawn(confusion_figure(matrix, [f"类别 {i} with a very long name" for i in range(classes)])).std() > 5


def test_every_chart_draws():
    draw = np.random.default_rng(0)
    probabilities, labels = draw.dirichlet(np.ones(3), 50), draw.integers(0, 3, 50)
    assert drawn(reliability_figure(probabilities, labels)).std() > 5
    assert drawn(curves_figure([{"epoch": 1, "loss": 1.0, "accuracy": 0.5}])).std() > 5
    assert drawn(episodes_figure(draw.random(40))).std() > 5
    images = [Image.new("RGB", (40, 30), "green")] * 7
    assert drawn(grid_figure(images, ["a"] * 7, frames=["red"] * 7)).std() > 5


@pytest.mark.parametrize("count", [2, 4, 7, 60])
def test_a_map_of_any_number_of_points(count):
    draw = np.random.default_rng(0)
    features = draw.normal(size=(count, 80))
    assert project(features).shape == (count, 2)
    labels = np.arange(count) % 3
    domains = ["source" if i % 2 else "target" for i in range(count)]
    assert drawn(tsne_figure({"before": features, "after": features[:, :3]}, labels, list("abc"), domains)).std() > 3
