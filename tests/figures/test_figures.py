"""Figures draw what they are given, at any size, with any name, and leave no trace elsewhere."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from studio.figures import (
    confusion_figure,
    curves_figure,
    episodes_figure,
    grid_figure,
    maps,
    per_class_figure,
    reliability_figure,
    tsne_figure,
)
from studio.figures.maps import map_film, project
from studio.figures.style import RIGHT, WRONG, tint


def drawn(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=60)
    return np.asarray(Image.open(buffer).convert("L"))


def texts(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("classes", [2, 12, 60])
def test_confusion_of_few_and_many_classes(classes):
    matrix = np.eye(classes, dtype=int) * 5
    matrix[0, 1] = 3
    figure = confusion_figure(matrix, [f"类别 {i} with a very long name" for i in range(classes)])
    assert drawn(figure).std() > 5
    assert ("3" in texts(figure.axes[0])) == (classes <= 20)


def test_confusion_shows_errors_in_another_colour_and_shares_of_all_images():
    matrix = np.diag([8] * 50)
    matrix[0, 40], matrix[0, 41] = 2, 6  # of 16 images
    figure = confusion_figure(matrix, [str(i) for i in range(50)], most=3)
    axes = figure.axes[0]
    cells = axes.images[0].get_array()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "40", "41"]
    assert np.allclose(cells[0, 0], tint(RIGHT, np.array(0.5))) and np.allclose(cells[1, 1], tint(RIGHT, np.array(1.0)))
    assert np.allclose(cells[0, 2], tint(WRONG, np.array((6 / 16) ** 0.5))) and np.allclose(cells[2, 0], 1.0)
    assert "3 classes with most errors, of 50" in axes.get_title()


def test_classes_stand_worst_first_and_those_without_images_not_at_all():
    matrix = np.array([[9, 1, 0], [5, 5, 0], [0, 0, 0]])
    axes = per_class_figure(matrix, ["good", "bad", "absent"]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bad  (10)", "good  (10)"]
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.9]
    assert drawn(per_class_figure(np.zeros((2, 2), int), ["a", "b"])).std() > 0


def test_reliability_says_the_error_and_draws_without_labels_too():
    draw = np.random.default_rng(0)
    probabilities, labels = draw.dirichlet(np.ones(3), 50), draw.integers(0, 3, 50)
    figure = reliability_figure(probabilities, labels)
    assert "ECE" in figure.axes[0].get_title() and drawn(figure).std() > 5
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == 50
    assert drawn(reliability_figure(probabilities, np.full(50, -1))).std() > 1


@pytest.mark.parametrize(
    ("history", "panels"),
    [
        ([{"epoch": 1, "loss": 1.0, "accuracy": 0.5}], 2),
        ([{"epoch": i, "accuracy": 0.5 + i / 20, "accuracy_ci95": 0.02} for i in range(5)], 1),
        ([{"epoch": 1, "loss": float("nan"), "accuracy": float("nan")}], 2),
        ([], 0),
    ],
)
def test_curves_show_what_was_measured(history, panels):
    figure = curves_figure(history)
    assert len(figure.axes) == panels
    drawn(figure)


def test_episodes_show_mean_and_interval():
    accuracies = np.random.default_rng(0).uniform(0.5, 1, 400)
    figure = episodes_figure(accuracies)
    legend = figure.axes[0].get_legend().get_texts()[0].get_text()
    assert legend.startswith(f"mean {accuracies.mean():.3f} ± 0.0") and drawn(figure).std() > 5
    for few in (np.array([1.0]), np.array([1.0, 1.0]), np.zeros(3)):
        assert drawn(episodes_figure(few)).std() > 1


def test_a_grid_shows_whole_images_of_any_shape_and_mode():
    images = [Image.new(mode, size, 80) for mode in ("RGB", "L") for size in ((40, 300), (8, 8), (900, 20))]
    captions = ["蜜蜂, is a class with quite a long name that goes on and on"] * 6
    figure = grid_figure(images, captions, columns=4, frames=["red"] * 6)
    assert drawn(figure).std() > 5 and len(figure.axes) == 6
    tiles = [axes.images[0].get_array() for axes in figure.axes]
    assert all(tile.shape[0] == tile.shape[1] for tile in tiles)
    assert all(axes.get_xlabel().count("\n") == 1 for axes in figure.axes)
    assert len(grid_figure([], []).axes) == 0 and images[2].size == (900, 20)


@pytest.mark.parametrize("tile", [1.1, 1.6])
def test_captions_do_not_run_into_the_next_tile(tile):
    captions = [
        "as the target would have it",
        "西伯利亚雪橇犬西伯利亚雪橇犬西伯利亚雪橇犬",
        "golden_retriever_in_snow 0.98",
    ]
    made = grid_figure([Image.new("RGB", (48, 48))] * 9, captions * 3, columns=9, tile=tile)
    drawn(made)
    labels = [axes.xaxis.label.get_window_extent() for axes in made.axes]
    assert all(left.x1 < right.x0 for left, right in zip(labels, labels[1:], strict=False))


@pytest.mark.parametrize("count", [1, 2, 4, 7, 60])
def test_a_map_of_any_number_of_points(count):
    draw = np.random.default_rng(0)
    features = draw.normal(size=(count, 80))
    assert project(features).shape == (count, 2)
    labels = np.arange(count) % 4 - 1
    domains = ["source" if i % 2 else "target" for i in range(count)]
    assert drawn(tsne_figure({"before": features, "after": features[:, :3]}, labels, list("abc"), domains)).std() > 2


def test_a_map_of_equal_points_or_one_feature_is_drawn_all_the_same():
    assert np.isfinite(project(np.ones((20, 6)))).all()
    assert np.isfinite(project(np.arange(20.0)[:, None])).all()


def test_many_classes_are_named_in_the_map_itself():
    draw = np.random.default_rng(1)
    labels = np.repeat(np.arange(12), 3)
    figure = tsne_figure({"features": draw.normal(size=(36, 5))}, labels, [f"class {i}" for i in range(12)])
    assert texts(figure.axes[0]) == [f"class {i}" for i in range(12)] and not figure.legends


def test_no_global_state_of_matplotlib_is_touched():
    for figure in (episodes_figure(np.array([0.5, 0.6])), confusion_figure(np.eye(2, dtype=int), ["a", "b"])):
        drawn(figure)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_a_film_of_maps_begins_each_where_the_last_ended_and_all_have_one_size(monkeypatch):
    begun = []
    monkeypatch.setattr(maps, "_umap", lambda features, seed, start: begun.append(start) or features[:, :2])
    sets = {"before": np.eye(6), "after": 2 * np.eye(6)}
    images = map_film(sets, np.arange(6) % 2, ["a", "b"], ["source"] * 3 + ["target"] * 3, by="umap")
    assert len(images) == 2 and images[0].size == images[1].size and begun[0] is None and begun[1].shape == (6, 2)


def test_a_map_begun_elsewhere_ends_near_its_beginning():
    """Two far clusters keep their sides: t-SNE alone may put either on either side."""
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(size=(15, 4)), rng.normal(size=(15, 4)) + 20])
    for side in (-1, 1):
        start = np.stack([side * np.repeat([-1.0, 1.0], 15), 0.01 * rng.normal(size=30)], axis=1)
        points = maps.project(features, start=start)
        assert np.sign(points[15:, 0].mean() - points[:15, 0].mean()) == side
