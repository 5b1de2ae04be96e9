"""A detection run from every door: recipe, checkpoint, Python, command line, drawings."""

import json
from pathlib import Path

import numpy as np
import pytest
from inline_runs import work
from PIL import Image
from small_runs import SMALL

from studio import cli
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.data import open_data
from studio.runs.executors import run_inline
from studio.runs.export import export_checkpoint
from studio.runs.predict import load_checkpoint
from studio.runs.runner import submit
from studio.store import Store

TRANSFORMER = {
    "method": "detect/rt-detr-v2",
    "model": {"image_size": 64, "backbone": "timm/test_efficientnet?random"},
    "params": {"queries": 10, "width": 32, "heads": 2, "hidden": 32, "decoder_layers": 2},
}


def changed(**sections) -> dict:
    return {**SMALL, **{name: {**SMALL.get(name, {}), **values} for name, values in sections.items()}}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run, its home and a folder with two images."""
    from studio.core.home import Home

    folder = tmp_path_factory.mktemp("detect")
    home = Home.find(folder / "home")
    run, result = work(SMALL, home)
    assert result.status == "finished", result.error
    images = folder / "images"
    images.mkdir()
    for number, item in enumerate(open_data("builtin:scenes?images=2&size=120").items):
        Image.fromarray(item.source.read()).resize((150, 120)).save(images / f"{number}.png")
    return run, result, home, images


def test_metrics_have_the_names_of_the_contract(done):
    run, result, _, _ = done
    assert {"map", "map_50", "map_75", "map_per_class", "images_per_s", "peak_memory_mb"} <= result.metrics.keys()
    assert result.metrics["scored_on"] == "test" and set(result.metrics["map_per_class"]) == {"0", "1"}
    events = run.events()
    assert {"precision-recall", "boxes", "curves"} <= {one["name"] for one in events if one["kind"] == "figure"}
    assert any(one["name"] == "per class" for one in events if one["kind"] == "table")
    names = {one["name"] for one in events if one["kind"] == "scalar"}
    assert {"train/classification", "val/map", "val/map_50"} <= names


def test_a_checkpoint_gives_boxes_in_pixels_of_the_image(done):
    _, result, home, images = done
    model = load_checkpoint(result.checkpoint, home)
    model.predictor.threshold = 0.0
    for row in model.predict([images / "0.png", images / "missing.png"])[:1]:
        assert (row["width"], row["height"]) == (150, 120) and row["boxes"]
        corners = np.array([box["box"] for box in row["boxes"]])
        assert (corners >= 0).all() and (corners[:, [0, 2]] <= 150).all() and (corners[:, [1, 3]] <= 120).all()
        scores = [box["score"] for box in row["boxes"]]
        assert scores == sorted(scores, reverse=True) and row["score"] == scores[0]
        drawn = next(model.look([images / "0.png"])).answer.draw(Image.open(images / "0.png"))
        assert drawn.size == (150, 120)
        assert np.any(np.asarray(drawn) != np.asarray(Image.open(images / "0.png")))
    assert "error" in model.predict([images / "missing.png"])[0]


def test_predict_draws_into_a_folder(done, tmp_path, capsys, monkeypatch):
    _, result, home, images = done
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    assert cli.main(["predict", result.checkpoint, str(images), "--out", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert [Path(row["image"]).name for row in rows] == ["0.png", "1.png"] and all("boxes" in row for row in rows)
    assert {path.name for path in tmp_path.iterdir()} == {"0.png", "1.png", "predictions.csv"}


def test_evaluating_a_checkpoint_again_gives_its_numbers(done):
    _, result, home, _ = done
    again = changed(train={"epochs": 0}, model={"checkpoint": result.checkpoint})
    _, second = work(again, home)
    assert second.status == "finished", second.error
    assert second.metrics["map"] == pytest.approx(result.metrics["map"], abs=1e-6)


def test_a_run_goes_on_from_a_detector_of_other_classes_and_says_what_it_keeps(done):
    _, result, home, _ = done
    values = changed(
        model={"checkpoint": result.checkpoint},
        data={"train": "builtin:scenes?images=10&size=96&classes=3", "test": None},
    )
    run, second = work(values, home)
    assert second.status == "finished", second.error
    notes = [one["message"] for one in run.events() if one["kind"] == "note"]
    assert any("Keep their weights: 0, 1. New: 2." in note for note in notes), notes
    _, refused = work({**values, "train": {**values["train"], "epochs": 0}}, home)
    assert refused.exit_code == 2 and "needs the same classes" in refused.error
    _, refused = work({**values, "method": "detect/retinanet", "params": {}}, home)
    assert refused.exit_code == 2 and "Only the same method can go on" in refused.error


@pytest.mark.draws
def test_a_transformer_goes_the_same_way_and_draws_where_its_queries_look(home, tmp_path):
    values = {**SMALL, **TRANSFORMER}
    run, result = work(values, home)
    assert result.status == "finished", result.error
    assert "attention" in {one["name"] for one in run.events() if one["kind"] == "figure"}
    assert load_checkpoint(result.checkpoint, home).classes == ["0", "1"]
    assert "same logits and boxes" in export_checkpoint(result.checkpoint, "hf", tmp_path, home)["note"]
    moved = {**values, "model": {**values["model"], "checkpoint": result.checkpoint}}
    moved["data"] = {"train": "builtin:scenes?images=10&size=96&classes=3"}
    run, second = work(moved | {"params": {**values["params"], "lora": 2}}, home)
    assert second.status == "finished", second.error
    assert any("New: 2." in one["message"] for one in run.events() if one["kind"] == "note")


def test_a_detector_is_exported_whole_or_refused_with_a_reason(done, tmp_path):
    _, result, home, _ = done
    for kind in ("onnx", "hf"):
        with pytest.raises(UsageError, match="safetensors only"):
            export_checkpoint(result.checkpoint, kind, tmp_path / kind, home)
    assert export_checkpoint(result.checkpoint, "safetensors", tmp_path / "safetensors", home)["files"]


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"train": {"epochs": 0}}, "model.checkpoint"),
        ({"data": {"train": "builtin:digits", "test": None}}, "has no boxes"),
        ({"model": {"backbone": "timm/vit_tiny_patch16_224?random"}}, "1/8, 1/16"),
        ({"params": {"heads_only": True}}, "no detector was trained yet"),
    ],
)
def test_what_can_not_be_done_is_refused_before_training(home, sections, said):
    _, result = work(changed(**sections), home)
    assert result.exit_code == 2 and said in result.error


@pytest.mark.usefixtures("asked_at_every_step")
@pytest.mark.parametrize("kind", [{}, TRANSFORMER], ids=["fcos", "rt-detr-v2"])
def test_a_stopped_run_goes_on_and_ends_as_if_it_had_not_been_stopped(home, kind):
    values = changed(train={"epochs": 2, "checkpoint_every_s": 0, "ema": 0.5}) | kind
    _, whole = work(values, home)
    run = submit(recipes.parse(values), Store(home))

    def after_two_steps() -> bool:
        return sum(one["kind"] == "scalar" and one["name"] == "train/classification" for one in run.events()) >= 2

    stopped = run_inline(run, home, should_stop=after_two_steps)
    assert stopped.status == "stopped"
    rest = run_inline(run, home, resume=True, should_stop=lambda: False)
    assert rest.status == "finished", rest.error

    def last(result) -> dict[str, float]:
        return {name: value for name, value in result.metrics.items() if name.startswith(("map", "voc"))}

    assert last(rest) == last(whole)
