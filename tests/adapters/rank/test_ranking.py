"""The two rankings as runs: what they order, what they warn of, what they never look at."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import softmax

from adapters.rank.backbones import first_shares
from adapters.rank.resample import halves
from adapters.rank.source_classes import imagenet
from studio.api import run
from studio.core import recipe as recipes
from studio.core import registry
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store

QUICK = {
    "task": "rank",
    "method": "rank/backbones",
    "model": {"image_size": 32},
    "data": {"train": "builtin:digits?per_class=8"},
    "params": {"backbones": ["studio/conv4", "pip/tf_efficientnet_lite0"], "resamples": 5},
}


def work(home, values):
    """(result, events) of a recipe."""
    filed = submit(recipes.parse(values), Store(home))
    return run_inline(filed, home), filed


def said(filed, kind):
    return " ".join(event["message"] for event in filed.events() if event["kind"] == kind)


@pytest.mark.draws
def test_a_ranking_orders_says_how_sure_it_is_and_leaves_no_checkpoint(home):
    result, filed = work(home, QUICK)
    assert result.status == "finished" and result.checkpoint is None
    metrics = result.metrics
    assert sorted(metrics["order"]) == sorted(QUICK["params"]["backbones"]) and metrics["best"] == metrics["order"][0]
    logme = [metrics["scores"][name]["logme"] for name in metrics["order"]]
    assert logme == sorted(logme, reverse=True)
    assert 0 <= metrics["best_first_share"] <= 1 and -1 <= metrics["order_tau"] <= 1
    (table,) = (event for event in filed.events() if event["kind"] == "table")
    assert {"logme", "leep", "nce", "h-score", "transrate", "gbc", "knn", "linear-probe"} < set(table["columns"])
    assert [row[0] for row in table["rows"]] == metrics["order"]
    assert {row[-1] for row in table["rows"]} == {"imagenet", "mixture"} and "N-LEEP" in said(filed, "note")
    assert (filed.path / "figures" / "ranking.png").stat().st_size > 0
    json.dumps(metrics, allow_nan=False)
    assert run(QUICK, home=home).metrics == metrics


def test_another_score_orders_where_asked(home):
    result, _ = work(home, {**QUICK, "params": {**QUICK["params"], "order_by": "knn"}})
    knn = [result.metrics["scores"][name]["knn"] for name in result.metrics["order"]]
    assert result.metrics["order_by"] == "knn" and knn == sorted(knn, reverse=True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"params": {"backbones": ["studio/conv4", "studio/conv4"]}}, "named twice"),
        ({"params": {"backbones": ["pip/tf_efficientnet_lite9"]}}, "Did you mean"),
        ({"data": {"train": "builtin:digits?per_class=1"}}, "0 of 10 classes have two images or more"),
        ({"data": {}}, "data.train: nothing is given"),
    ],
)
def test_what_cannot_be_ranked_is_said(home, change, sentence):
    result, _ = work(home, {**QUICK, **change})
    assert (result.status, result.exit_code) == ("failed", 2) and sentence in result.error


def test_classes_of_one_image_are_left_out_and_named(home, tmp_path):
    for label, count in {"a": 4, "b": 4, "lonely": 1}.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng((count, number, ord(label[0]))).integers(0, 255, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    values = {**QUICK, "params": {"backbones": ["studio/conv4"], "resamples": 2}}
    result, filed = work(home, {**values, "data": {"train": f"folder:{tmp_path / 'photos'}"}})
    assert (result.metrics["classes"], result.metrics["images"]) == (2, 8)
    assert "one image only: lonely" in said(filed, "warning")


def test_names_may_come_as_one_text():
    cls = registry.get("rank/backbones")
    assert cls.Params(backbones="pip/a, studio/conv4").backbones == ["pip/a", "studio/conv4"]


def test_halves_hold_half_of_every_class_without_repeats():
    y = np.repeat([0, 1, 2], [40, 7, 2])
    for rows in halves(y, 5, seed=0):
        assert len(set(rows)) == len(rows) and np.bincount(y[rows]).tolist() == [20, 4, 2]
    first, again = halves(y, 2, seed=0)
    assert first.tolist() != again.tolist()


def test_a_shared_first_place_counts_as_half():
    np.testing.assert_allclose(first_shares(np.array([[1.0, 1.0, 0.0], [2.0, 1.0, 0.0]])), [0.75, 0.25, 0])


def test_source_classes_are_those_of_the_whole_packaged_network():
    import timm

    from adapters.backbones.sources.pip_packages import read_weights

    weights = read_weights("tf_efficientnet_lite0")
    backbone = registry.backbone("pip/tf_efficientnet_lite0", image_size=64).eval()
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    classifier = {"classifier.weight": weights["_fc.weight"], "classifier.bias": weights["_fc.bias"]}
    whole.load_state_dict({**backbone.state(), **classifier})
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = softmax(whole(images).numpy(), axis=1)
        np.testing.assert_allclose(imagenet(weights, backbone.embed(images).numpy()), expected, rtol=1e-3, atol=1e-6)


def write_features(folder, name, x, y):
    np.savez(folder / f"{name}.npz", X=x.astype(np.float32), y=y)
    return f"npz:{folder / name}.npz?x=X&y=y"


@pytest.fixture
def three_domains(tmp_path):
    """Specs of a near source, a far one, and the target with its labels shuffled."""
    draw = np.random.default_rng(0)
    centers, y = 2 * draw.normal(size=(3, 12)), np.arange(90) % 3
    near, far, target = (centers[y] + draw.normal(size=(90, 12)) + shift for shift in (0.2, 6.0, 0.0))
    return {
        "near": write_features(tmp_path, "near", near, y),
        "far": write_features(tmp_path, "far", far, y),
        "target": write_features(tmp_path, "target", target, y),
        "shuffled": write_features(tmp_path, "target2", target, draw.permutation(y)),
    }


def gap(source, target, **params):
    return {"task": "rank", "method": "rank/gap", "data": {"source": source, "target": target}, "params": params}


def test_a_far_source_is_warned_of_and_the_nearest_comes_first(home, three_domains):
    result, filed = work(home, gap(f"{three_domains['far']}, {three_domains['near']}", three_domains["target"]))
    metrics = result.metrics
    assert result.status == "finished" and result.checkpoint is None
    assert metrics["best"] == "near" and not metrics["negative_transfer_risk"]
    assert metrics["sources"]["far"]["risk"] == "high" and metrics["sources"]["near"]["risk"] == "low"
    warning = said(filed, "warning")
    assert warning.startswith("far: risk of negative transfer") and "near" not in warning.split(":")[0]
    assert "Rule:" in said(filed, "note")
    alone, _ = work(home, gap(three_domains["far"], three_domains["target"]))
    assert alone.metrics["negative_transfer_risk"]


def test_target_labels_change_nothing(home, three_domains):
    first, _ = work(home, gap(three_domains["near"], three_domains["target"]))
    second, _ = work(home, gap(three_domains["near"], three_domains["shuffled"]))
    assert first.metrics == second.metrics


def test_images_go_through_the_backbone(home):
    values = gap(
        "builtin:glyphs?domain=sans&classes=3&per_class=8", "builtin:glyphs?domain=serif&classes=3&per_class=8"
    )
    result, _ = work(home, {**values, "model": {"backbone": "studio/conv4", "image_size": 32}})
    assert result.status == "finished" and result.metrics["a_distance"] <= 2


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        (None, "builtin:digits", "data.source: nothing is named"),
        ("builtin:digits", None, "data.target: nothing is named"),
    ],
)
def test_a_missing_domain_is_named(home, source, target, sentence):
    result, _ = work(home, gap(source, target))
    assert result.exit_code == 2 and sentence in result.error


def test_source_images_alone_in_their_class_are_told_of(home, tmp_path, three_domains):
    draw = np.random.default_rng(3)
    x = draw.normal(size=(31, 12))
    lonely = write_features(tmp_path, "lonely", x, np.append(np.arange(30) % 2, 7))
    result, filed = work(home, gap(lonely, three_domains["target"]))
    assert result.metrics["sources"][lonely]["images"] == 30 and "left out 1 image without" in said(filed, "warning")
    single = write_features(tmp_path, "single", x, np.zeros(31, np.int64))
    result, _ = work(home, gap(single, three_domains["target"]))
    assert result.exit_code == 2 and "has 1 classes with two labelled images" in result.error


def test_a_file_that_cannot_be_read_is_named(home, tmp_path):
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng((number, ord(label))).integers(0, 255, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    (tmp_path / "photos" / "a" / "broken.png").write_bytes(b"no image")
    folder = f"folder:{tmp_path / 'photos'}"
    model = {"backbone": "studio/conv4", "image_size": 32}
    for values in (
        {**gap(folder, "builtin:digits?per_class=2"), "model": model},
        {**gap("builtin:digits?per_class=2", folder), "model": model},
        {**QUICK, "params": {"backbones": ["studio/conv4"], "resamples": 2}, "data": {"train": folder}},
    ):
        result, filed = work(home, values)
        assert result.status == "finished" and said(filed, "warning").count("broken.png") == 1


def test_images_and_features_are_not_compared(home, three_domains):
    result, _ = work(home, gap("builtin:digits", three_domains["target"]))
    assert result.exit_code == 2 and "expected one kind" in result.error


@pytest.mark.parametrize("preset", ["rank-backbones", "rank-gap"])
def test_shipped_rankings_are_valid(preset):
    assert recipes.load(preset).task == "rank"
