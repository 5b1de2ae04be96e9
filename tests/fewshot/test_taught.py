"""From photos to a checkpoint: it predicts, shows what it goes by, says unknown, and can be taught."""

import json

import numpy as np
import pytest
from PIL import Image

from studio.api import run
from studio.core.errors import DataError, StoreError, UsageError
from studio.core.events import read_events
from studio.runs.predict import load_checkpoint, teach_checkpoint
from studio.store import Store

COLOURS = {"blue": (30, 30, 220), "green": (30, 200, 30), "red": (220, 30, 30), "white": (240, 240, 240)}


def photo(colour: str, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, 25, (20, 24, 3))
    return Image.fromarray((np.array(COLOURS[colour]) + noise).clip(0, 255).astype(np.uint8))


def folder(path, colours, count=6, seed=0):
    for colour in colours:
        (path / colour).mkdir(parents=True)
        for number in range(count):
            photo(colour, seed + number).save(path / colour / f"{number}.png")
    return path


@pytest.fixture
def photos(tmp_path):
    return folder(tmp_path / "photos", ["blue", "green", "red"])


def recipe(photos, method="fewshot/prototypes", **more):
    return {
        "method": method,
        "model": {"backbone": "studio/conv4", "image_size": 16},
        "data": {"train": f"folder:{photos}"},
        "eval": {"ways": 3, "shots": 2, "queries": 3, "episodes": 30},
        **more,
    }


def events(home, result, kind):
    return [event for event in read_events(home.runs / result.run / "events.jsonl")[0] if event["kind"] == kind]


@pytest.mark.parametrize("method", ["logistic", "matching", "tim"])
def test_a_head_runs_from_photos_to_a_prediction(home, photos, method):
    result = run(recipe(photos, f"fewshot/{method}"), home=home)
    assert {"accuracy", "accuracy_ci95", "macro_f1", "ece", "episodes", "episodes_per_s"} <= set(result.metrics)
    assert result.metrics["accuracy"] > 0.6 and result.metrics["episodes"] == 30
    assert ("one_by_one_accuracy" in result.metrics) == (method == "tim")
    row = load_checkpoint(result.checkpoint, home).predict([photo("red", 99)])[0]
    assert row["label"] == "red"


def test_a_checkpoint_shows_the_nearest_photos_and_says_unknown(home, photos):
    result = run(recipe(photos), home=home)
    assert {event["name"] for event in events(home, result, "figure")} == {"episodes", "confusion", "nearest photos"}
    model = load_checkpoint(result.checkpoint, home)
    known, strange = model.predict([photo("green", 99), photo("white", 99)])
    assert known["label"] == "green" and known["unknown"] is False
    assert [near["label"] for near in known["nearest"]] == ["green"] * 3
    image, caption = next(model.look([photo("green", 99)])).answer.neighbours()[0]
    assert caption.startswith("green ") and np.asarray(image).mean((0, 1)).argmax() == 1
    assert strange["familiarity"] < known["familiarity"]


def test_teaching_a_new_class_makes_a_new_checkpoint_and_leaves_the_old_one(home, photos):
    old = run(recipe(photos), home=home).checkpoint
    new = teach_checkpoint(old, {"white": [photo("white", n) for n in range(3)]}, home)
    assert new.manifest.lineage["parent"] == old and new.manifest.lineage["taught"] == {"white": 3}
    assert load_checkpoint(new.id, home).predict([photo("white", 99)])[0]["label"] == "white"
    assert load_checkpoint(old, home).classes == ["blue", "green", "red"]
    old_files, new_files = (Store(home).checkpoint(name).manifest.files for name in (old, new.id))
    assert new_files["photos-0.jpg"] == old_files["photos-0.jpg"]  # images are stored once
    image, caption = next(load_checkpoint(new.id, home).look([photo("white", 0)])).answer.neighbours()[0]
    assert caption.startswith("white ") and np.asarray(image).mean() > 200
    assert Store(home).verify() == []


def test_a_correction_changes_the_answer(home, photos):
    old = run(recipe(photos), home=home).checkpoint
    assert load_checkpoint(old, home).predict([photo("white", 99)])[0]["label"] != "red"
    new = teach_checkpoint(old, {"red": [photo("white", n) for n in range(8)]}, home)
    assert load_checkpoint(new.id, home).predict([photo("white", 99)])[0]["label"] == "red"


def test_a_loaded_predictor_teaches_the_same(home, photos):
    old = run(recipe(photos), home=home).checkpoint
    given = {"white": [photo("white", 1)]}
    one = teach_checkpoint(old, given, home, predictor=load_checkpoint(old, home).predictor)
    two = teach_checkpoint(old, given, home)
    assert one.manifest.tensors == two.manifest.tensors


@pytest.mark.parametrize("images", [{}, {"white": []}, {" ": [photo("white", 0)]}])
def test_nothing_to_teach_is_said(home, photos, images):
    old = run(recipe(photos), home=home).checkpoint
    with pytest.raises(DataError):
        teach_checkpoint(old, images, home)


def test_a_checkpoint_with_other_weights_is_not_used(home, photos, monkeypatch):
    from adapters.backbones.face import Backbone

    old = run(recipe(photos), home=home).checkpoint
    monkeypatch.setattr(Backbone, "hash", property(lambda self: "0" * 32))
    with pytest.raises(StoreError, match="other weights"):
        load_checkpoint(old, home)


def test_support_and_query_from_two_folders(home, photos, tmp_path):
    other = folder(tmp_path / "other", ["green", "red"], seed=50)
    (tmp_path / "other" / "red" / "again.png").write_bytes((photos / "red" / "0.png").read_bytes())
    data = {"train": f"folder:{photos}", "test": f"folder:{other}"}
    result = run(recipe(photos, data=data, eval={"ways": 2, "shots": 2, "queries": 4, "episodes": 10}), home=home)
    assert result.metrics["scored_on"] == "episodes: support from train, query from test"
    assert any("1 of 13" in event["message"] for event in events(home, result, "warning"))


def test_a_run_can_teach_a_checkpoint_further_or_only_evaluate_it(home, photos, tmp_path):
    first = run(recipe(photos), home=home).checkpoint
    more = folder(tmp_path / "more", ["white", "red"], seed=70)
    model = {"backbone": "studio/conv4", "image_size": 16, "checkpoint": first}
    episodes = {"ways": 2, "shots": 1, "queries": 2, "episodes": 5}
    further = run(recipe(more, model=model, eval=episodes), home=home)
    assert load_checkpoint(further.checkpoint, home).classes == ["blue", "green", "red", "white"]
    assert [row["checkpoint"] for row in Store(home).lineage(further.checkpoint)] == [further.checkpoint, first]
    fresh = folder(tmp_path / "fresh", ["blue", "green", "red"], count=2, seed=90)
    scored = run(recipe(fresh, model=model, train={"epochs": 0}), home=home)
    assert scored.checkpoint is None and scored.metrics["accuracy"] == 1.0 and scored.metrics["images"] == 6


def test_an_episode_file_is_scored_and_needs_no_train(home, photos):
    images = {colour: [f"{colour}/{n}.png" for n in range(4)] for colour in ("blue", "green")}
    episode = {"support": {c: p[:2] for c, p in images.items()}, "query": {c: p[2:] for c, p in images.items()}}
    file = photos / "episodes.json"
    file.write_text(json.dumps([episode, episode]))
    asked = {"episodes_file": str(file)}
    result = run(recipe(photos, data={}, eval=asked), home=home)
    assert result.checkpoint is None and result.metrics["episodes"] == 2 and result.metrics["accuracy"] == 1.0
    (photos / "blue" / "1.png").write_text("no image")
    with pytest.raises(UsageError, match=r"blue/1\.png"):
        run(recipe(photos, data={}, eval=asked), home=home)


def test_compare_scores_all_heads_on_the_same_episodes(home, photos):
    params = {"heads": ["prototypes", "ridge", "fewshot/tim"], "save_episodes": True}
    result = run(recipe(photos, "fewshot/compare", params=params), home=home)
    [table] = events(home, result, "table")
    rows = {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["rows"]}
    assert set(rows) == {"fewshot/prototypes", "fewshot/ridge", "fewshot/tim"}
    assert rows["fewshot/prototypes"]["minus prototypes"] is None
    for name in ("ridge", "tim"):
        row = rows[f"fewshot/{name}"]
        difference = row["accuracy"] - rows["fewshot/prototypes"]["accuracy"]
        assert row["minus prototypes"] == pytest.approx(difference, abs=2e-4)
    assert rows["fewshot/tim"]["looks at"] == "all queries, taken for balanced"
    saved = home.runs / result.run / "episodes.json"
    again = run(recipe(photos, data={}, eval={"episodes_file": str(saved)}), home=home)
    assert again.metrics["accuracy"] == pytest.approx(rows["fewshot/prototypes"]["accuracy"], abs=1e-4)


def test_fewer_classes_than_the_default_ways_is_noted(home, photos):
    result = run(recipe(photos, eval={"shots": 2, "queries": 2, "episodes": 5}), home=home)
    assert any("3 ways" in event["message"] for event in events(home, result, "note"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"eval": {"ways": 9}}, "9 ways need 9 classes; found 3"),
        ({"method": "fewshot/compare", "params": {"heads": ["rigde"]}}, "Did you mean 'fewshot/ridge'"),
        ({"params": {"metrik": "cosine"}}, "Did you mean 'metric'"),
        ({"data": {}}, "data.train"),
        ({"eval": {"episodes_file": "nowhere.json"}}, "there is no file nowhere.json"),
    ],
)
def test_a_wrong_recipe_is_refused_in_a_sentence(home, photos, change, words):
    with pytest.raises(UsageError, match=words):
        run({**recipe(photos), **change}, home=home)


def test_a_class_with_one_photo_is_named(home, photos):
    for extra in list((photos / "green").iterdir())[1:]:
        extra.unlink()
    with pytest.raises(UsageError, match="green: one image only"):
        run(recipe(photos, eval={"ways": 3, "shots": 5}), home=home)


@pytest.mark.parametrize("method", ["prototypes", "matching", "pt-map"])
def test_a_checkpoint_is_one_network_for_any_number_of_images(home, photos, method):
    import torch

    model = load_checkpoint(run(recipe(photos, f"fewshot/{method}"), home=home).checkpoint, home)
    network = model.predictor.module().eval()
    example = torch.randn(2, 3, 16, 16)
    exported = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    images = torch.randn(5, 3, 16, 16)
    torch.testing.assert_close(exported.module()(images), network(images))


def test_solving_heads_are_no_single_network(home, photos):
    model = load_checkpoint(run(recipe(photos, "fewshot/ridge"), home=home).checkpoint, home)
    assert model.predictor.module() is None
