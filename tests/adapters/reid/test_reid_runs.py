"""Runs of task reid from a recipe to an answer: frozen and trained, one trial and several, every setting once."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from small_recipes import DATA, FROZEN, TRAINED, changed, work

from adapters.reid.exporters import Embedding, SolvedEmbedding, write_onnx
from adapters.reid.frozen import FrozenMetric, FrozenParams
from adapters.reid.metric import kissme, principal, whitening
from adapters.reid.network import EmbeddingNetwork
from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.data import open_data
from studio.runs.export import export_checkpoint
from studio.runs.predict import load_checkpoint


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Home.find(tmp_path_factory.mktemp("reid") / "home")


@pytest.fixture(scope="module")
def frozen(place):
    run, result = work(changed(FROZEN, eval={"splits": 2, "rerank": True, "k1": 4, "k2": 2}), place)
    assert result.status == "finished", result.error
    return run, result


@pytest.fixture(scope="module")
def trained(place):
    settings = {"pooling": "gem", "ibn": True}
    values = changed(TRAINED, params=settings, data={"aspect": 2.0}, eval={"selection": "source-val", "flip": True})
    run, result = work(values, place)
    assert result.status == "finished", result.error
    return run, result


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    file = tmp_path_factory.mktemp("photo") / "asks.png"
    Image.fromarray(open_data(DATA).items[9].source.read()).save(file)
    return file


def named(run, kind):
    return {event["name"] for event in run.events() if event["kind"] == kind}


def test_several_splits_have_means_with_intervals_and_re_ranking_stands_beside(frozen):
    run, result = frozen
    metrics = result.metrics
    names = {
        "rank1",
        "rank5",
        "map",
        "minp",
        "dir_at_far_1",
        "rank1_reranked",
        "map_reranked",
        "rank1_ci95",
        "map_ci95",
    }
    assert names <= metrics.keys() and metrics["splits"] == 2 and metrics["selection"] == "last"
    table = next(e for e in run.events() if e["kind"] == "table" and e["name"] == "splits")
    assert metrics["map"] == pytest.approx(
        np.mean([row[table["columns"].index("map")] for row in table["rows"]]), abs=1e-4
    )
    assert {"cmc", "distances", "open set", "strips"} <= named(run, "figure")


def test_an_image_of_the_gallery_is_its_own_nearest(frozen, trained, place, photo):
    for _, result in (frozen, trained):
        model = load_checkpoint(result.checkpoint, place)
        answer = next(model.look([photo])).answer
        row = answer.to_dict(3)
        item = open_data(DATA).items[9]
        assert row["label"] == open_data(DATA).classes[item.label] and row["matches"][0]["image"] == item.name
        assert row["distance"] == pytest.approx(0, abs=2e-3) and len(row["matches"]) == 3
        scores = [match["score"] for match in row["matches"]]
        assert scores == sorted(scores, reverse=True) and answer.records()[1]["rank"] == 2 and "at" in answer.line()


@pytest.mark.parametrize("solved", [False, True], ids=["trained", "solved"])
def test_an_embedding_is_the_same_as_onnx(solved, tmp_path):
    backbone = registry.backbone("studio/mlp?width=8&image_size=14")
    draw = np.random.default_rng(0)
    if solved:
        network = SolvedEmbedding(backbone, draw.random(8), draw.random((8, 3)), unit=True)
    else:
        network = Embedding(EmbeddingNetwork(backbone, "own", (14, 14)))
    model = SimpleNamespace(predictor=SimpleNamespace(module=lambda: network))
    note, output = write_onnx(model, torch.randn(4, 3, 14, 14), tmp_path)
    assert "personal data" in note and "embeddings" in output and (tmp_path / "model.onnx").is_file()


def test_there_is_no_form_of_a_classifier_since_there_is_none(frozen, place, tmp_path):
    with pytest.raises(UsageError, match="have no Hugging Face form"):
        export_checkpoint(frozen[1].checkpoint, "hf", tmp_path / "hf", place)


def test_a_training_is_judged_on_individuals_held_out_and_starts_the_next_one(trained, place):
    run, result = trained
    assert "val/map" in named(run, "scalar") and {"train/identity", "train/triplet"} <= named(run, "scalar")
    values = changed(
        TRAINED, params={"pooling": "gem", "ibn": True}, model={"checkpoint": result.checkpoint}, train={"epochs": 0},
        data={"aspect": 2.0}, eval={"flip": True},
    )  # fmt: skip
    _, again = work(values, place)
    assert again.status == "finished", again.error
    assert again.metrics["map"] == pytest.approx(result.metrics["map"], abs=1e-4)


@pytest.mark.parametrize(
    ("method", "params", "more"),
    [
        ("reid/arcface", {"pooling": "max"}, {"query_cameras": ["0"], "single_shot": 2}),
        ("reid/circle", {"pooling": "average", "freeze_statistics": True}, {"multi_query": True}),
        ("reid/pcb", {"parts": 2, "width": 8}, {"selection": "oracle"}),
    ],
)
def test_every_method_trains(method, params, more, home):
    _, result = work(changed({**TRAINED, "method": method}, params=params, eval=more), home)
    assert result.status == "finished", result.error
    assert 0 <= result.metrics["map"] <= 1


def test_a_transformer_is_told_the_camera_and_answers_without(home, photo):
    values = {**TRAINED, "model": {"backbone": "timm/test_vit?random", "image_size": 160}}
    _, result = work(changed(values, params={"side_information": True}, train={"batch_size": 4, "max_steps": 1}), home)
    assert result.status == "finished", result.error
    assert load_checkpoint(result.checkpoint, home).predict([photo])[0]["matches"]
    _, refused = work(changed(TRAINED, params={"side_information": True}), home)
    assert "has no tokens" in refused.error


def test_from_one_place_into_another(home):
    other = DATA.replace("?", "?place=1&")
    values = {**TRAINED, "data": {"source": DATA, "target": other}}
    run, result = work(values, home)
    assert result.status == "finished", result.error
    assert all(name.startswith("place-1/") for name in load_checkpoint(result.checkpoint, home).classes)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"data": {"query": "reid:a"}}, "data.gallery: nothing is named"),
        ({"data": {"train": "reid:a", "target": "reid:b"}}, "data.train: across domains"),
        ({"data": {"query": "reid:a", "gallery": "reid:b", "test": "reid:c"}}, "data.test"),
        ({"train": {"batch_size": 4, "per_identity": 4}}, "fewer than two individuals"),
    ],
)
def test_keys_that_do_not_go_together_are_refused_when_read(values, words):
    with pytest.raises(UsageError, match=words):
        recipes.parse({"task": "reid", "method": "reid/baseline", **values})


def test_a_metric_that_is_solved_beats_the_angle_where_individuals_vary_alike():
    draw = np.random.default_rng(0)
    centres, noise = draw.standard_normal((60, 20)), np.diag(np.r_[np.full(10, 4.0), np.full(10, 0.2)])
    labels = np.repeat(np.arange(60), 6)
    x = centres[labels] + draw.standard_normal((360, 20)) @ noise
    train, test = labels < 30, labels >= 30

    def hits(metric):
        method = FrozenMetric(FrozenParams(metric=metric, dims=20)).fit(x[train], labels[train])
        z = method.transform(x[test]).astype(float)
        distances = ((z[:, None] - z[None]) ** 2).sum(-1) + np.diag(np.full(len(z), np.inf))
        return (labels[test][distances.argmin(1)] == labels[test]).mean()

    assert hits("cosine") + 0.2 < min(hits("whitening"), hits("kissme"))


def test_whitening_and_kissme_are_their_equations():
    draw = np.random.default_rng(1)
    labels, x = np.repeat(np.arange(8), 5), draw.standard_normal((40, 4))
    x -= x.mean(0)
    within = sum(np.outer(row, row) for row in x - np.array([x[labels == label].mean(0) for label in labels])) / 40
    w = whitening(x, labels, 0.0)
    np.testing.assert_allclose(w @ w.T, np.linalg.inv(within), rtol=1e-4, atol=1e-5)
    same = [x[i] - x[j] for i in range(40) for j in range(i) if labels[i] == labels[j]]
    other = [x[i] - x[j] for i in range(40) for j in range(i) if labels[i] != labels[j]]
    exact = np.linalg.inv(np.array(same).T @ np.array(same) / len(same))
    exact -= np.linalg.inv(np.array(other).T @ np.array(other) / len(other))
    values, vectors = np.linalg.eigh(exact)
    expected = (vectors * np.maximum(values, 0)) @ vectors.T
    found = kissme(x, labels, 0.0, seed=0)
    np.testing.assert_allclose(found @ found.T, expected, atol=0.02 * np.abs(expected).max())  # pairs are drawn
    assert principal(x, 2).shape == (4, 2) and principal(np.zeros((3, 4)), None).shape == (4, 1)
