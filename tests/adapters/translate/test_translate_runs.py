"""A translator run from every door: recipe, checkpoint, Python, command line, drawings, exports."""

import json

import numpy as np
import pytest
from inline_runs import work
from PIL import Image
from small_translations import UNPAIRED, changed

from studio import cli
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.data import open_data
from studio.runs.export import export_checkpoint
from studio.runs.predict import load_checkpoint


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run of pix2pix, its home and a folder with two images."""
    folder = tmp_path_factory.mktemp("translate")
    home = Home.find(folder / "home")
    run, result = work(changed(), home)
    assert result.status == "finished", result.error
    images = folder / "images"
    images.mkdir()
    for number, item in enumerate(open_data("builtin:scenes?images=2&size=80&look=infrared").items):
        Image.fromarray(item.source.read()).resize((75, 60)).save(images / f"{number}.png")
    return run, result, home, images


def test_metrics_stand_beside_trivial_answers_and_the_run_shows_itself(done):
    run, result, _, _ = done
    numbers = {"psnr", "ssim", "perceptual", "kid"}
    expected = numbers | {f"{name}_ci95" for name in numbers} | {"distance", "features", "selection"}
    assert expected <= result.metrics.keys() and result.metrics["scored_on"] == "test"
    events = run.events()
    figures = {event["name"] for event in events if event["kind"] == "figure"}
    assert {"samples-0001", "samples-0002", "samples", "curves"} <= figures
    table = next(event for event in events if event["kind"] == "table")
    assert [row[0] for row in table["rows"]][1:4] == [
        "the image as it is", "mean and variance of the look", "mean image of the look"
    ]  # fmt: skip
    assert table["rows"][0][1] == result.metrics["psnr"]
    scalars = {event["name"] for event in events if event["kind"] == "scalar"}
    assert {"train/generate/l1", "train/generate/fool", "train/discriminate/tell_apart", "val/kid"} <= scalars


def test_predict_writes_images_of_their_own_size(done, tmp_path, capsys, monkeypatch):
    _, result, home, images = done
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    assert cli.main(["predict", result.checkpoint, str(images), "--out", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert [(row["width"], row["height"]) for row in rows] == [(75, 60)] * 2
    with Image.open(tmp_path / "0.png") as made, Image.open(images / "0.png") as given:
        assert made.size == (75, 60) and not np.array_equal(np.asarray(made), np.asarray(given.convert("RGB")))


def test_evaluating_a_checkpoint_again_gives_its_numbers(done):
    _, result, home, _ = done
    _, second = work(changed(train={"epochs": 0}, model={"checkpoint": result.checkpoint}), home)
    assert second.status == "finished", second.error
    assert second.metrics["psnr"] == result.metrics["psnr"] and second.metrics["kid"] == result.metrics["kid"]


def test_python_gets_the_image(done):
    _, result, home, images = done
    answer = next(load_checkpoint(result.checkpoint, home).look([images / "1.png"])).answer
    assert answer.image.size == (75, 60) and answer.to_dict() == {"width": 75, "height": 60}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"data": {}}, "either data.source and data.target"),
        ({"data": UNPAIRED}, "learns from pairs"),
        ({"data": {"source": UNPAIRED["source"]}}, "data.target: nothing"),
        ({"eval": {"direction": "backward"}}, "one way only"),
        ({"train": {"optimizer": "sgd"}}, "train.optimizer"),
        ({"data": {"train": "builtin:scenes", "short_side": 32}, "model": {"image_size": 64}}, "short_side"),
    ],
)
def test_what_does_not_go_together_is_refused_when_a_recipe_is_read(sections, message):
    with pytest.raises(UsageError, match=message):
        recipes.parse(changed(**sections))


@pytest.mark.slow
def test_a_generator_leaves_as_onnx_for_images_of_many_sizes(home, tmp_path):
    import onnxruntime

    small = {"width": 4, "discriminator_width": 4, "layers": 1, "generator": "resnet"}
    _, result = work(changed(params=small, train={"max_steps": 1}), home)
    report = export_checkpoint(result.checkpoint, "onnx", tmp_path / "onnx", home)
    assert "any size" in report["note"] and "overlapping tiles" in report["note"]
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"), providers=["CPUExecutionProvider"])
    made = session.run(None, {"images": np.zeros((1, 3, 64, 96), np.float32)})[0]
    assert made.shape == (1, 3, 64, 96) and np.abs(made).max() <= 1


def test_a_run_can_be_stopped_while_it_reads_its_images(tmp_path):
    _, result = work(changed(), Home.find(tmp_path), should_stop=lambda: True)
    assert result.status == "stopped" and result.error.startswith("Stopped after decoding 1 of")
