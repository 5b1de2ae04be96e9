"""A segmentation run from every door: recipe, checkpoint, Python, command line, drawings, exports."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from inline_runs import work
from PIL import Image
from small_networks import RUN, SIZE, VIT, dinov2_folder, dpt_folder, encoder_folder, mask2former_folder, small

from studio import cli
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.data import open_data
from studio.data.masks.class_map import VOID
from studio.data.masks.outlines import filled_by
from studio.data.preprocess import Preprocess
from studio.figures.masks import draw_errors, draw_mask, palette_png
from studio.runs.export import export_checkpoint
from studio.runs.predict import load_checkpoint


def changed(**sections) -> dict:
    return {**RUN, **{name: {**RUN.get(name, {}), **values} for name, values in sections.items()}}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run, its home and a folder with two images."""
    folder = tmp_path_factory.mktemp("segment")
    home = Home.find(folder / "home")
    run, result = work(RUN, home)
    assert result.status == "finished", result.error
    images = folder / "images"
    images.mkdir()
    for number, item in enumerate(open_data("builtin:scenes?images=2&size=120").items):
        Image.fromarray(item.source.read()).resize((150, 120)).save(images / f"{number}.png")
    return run, result, home, images


def test_metrics_say_their_convention_and_the_run_shows_itself(done):
    run, result, _, _ = done
    expected = {
        "miou",
        "miou_ci95",
        "pa",
        "mpa",
        "fwiou",
        "boundary_f",
        "miou_per_class",
        "convention",
    }
    assert expected <= result.metrics.keys() and result.metrics["scored_on"] == "test"
    known = [value for value in result.metrics["miou_per_class"].values() if value is not None]
    assert result.metrics["miou"] == pytest.approx(np.mean(known), abs=1e-6)
    events = run.events()
    assert {"classes", "confusion", "curves", "masks"} <= {e["name"] for e in events if e["kind"] == "figure"}
    assert any(e["name"] == "per class" for e in events if e["kind"] == "table")
    assert {"train/cross-entropy", "val/miou"} <= {e["name"] for e in events if e["kind"] == "scalar"}
    assert any("void pixels" in e["message"] and "mmseg" in e["message"] for e in events if e["kind"] == "note")


def test_an_answer_has_the_image_s_own_size_and_its_areas_fill_it(done):
    _, result, home, images = done
    model = load_checkpoint(result.checkpoint, home)
    row, broken = model.predict([images / "0.png", images / "missing.png"])
    assert (row["width"], row["height"]) == (150, 120) and "error" in broken
    assert sum(one["area_percent"] for one in row["classes"]) == pytest.approx(100, abs=0.01)
    covered = np.zeros((120, 150), int)
    for one in row["classes"]:
        inside = filled_by(one["rle"], (150, 120))
        assert 100 * inside.mean() == pytest.approx(one["area_percent"], abs=0.001) and 0 <= one["score"] <= 1
        covered += inside
    assert (covered == 1).all()
    answer = next(model.look([images / "0.png"])).answer
    assert answer.draw(Image.open(images / "0.png")).size == (150, 120)
    assert json.loads(json.dumps(row)) == row and "%" in answer.said()


def test_predict_writes_drawings_and_palette_masks(done, tmp_path, capsys, monkeypatch):
    _, result, home, images = done
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    arguments = ["predict", result.checkpoint, str(images), "--out", str(tmp_path), "--mirror", "--slide", "--json"]
    assert cli.main(arguments) == 0
    rows = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    names = {"0.png", "1.png", "0-mask.png", "1-mask.png", "predictions.csv"}
    assert {path.name for path in tmp_path.iterdir()} == names and all("classes" in row for row in rows)
    with Image.open(tmp_path / "0-mask.png") as mask:
        assert mask.mode == "P" and mask.size == (150, 120) and set(np.unique(np.asarray(mask))) <= {0, 1, 2}


def test_a_film_is_drawn_frame_by_frame(done, tmp_path):
    pytest.importorskip("av")
    from studio.data.files.video import Writer, frames
    from studio.runs.video import predict_video

    _, result, home, _ = done
    with Writer(tmp_path / "in.mp4", 5) as film:
        for item in open_data("builtin:scenes?images=3&size=96").items:
            film.write(Image.fromarray(item.source.read()))
    seen = predict_video(load_checkpoint(result.checkpoint, home), tmp_path / "in.mp4", tmp_path / "out.mp4")
    areas = [sum(row["area_percent"] for row in frame.to_dict()["classes"]) for frame in seen]
    assert areas == [pytest.approx(100, abs=0.01)] * 3
    assert [frame.image.size for frame in frames(tmp_path / "out.mp4", 1)] == [(96, 96)] * 3


def test_a_film_is_segmented_and_its_steadiness_told(done, tmp_path, capsys, monkeypatch):
    pytest.importorskip("av")
    from studio.data.files.video import Writer, frames

    _, result, home, _ = done
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    scene = Image.fromarray(open_data("builtin:scenes?images=1&size=128").items[0].source.read())
    with Writer(tmp_path / "in.mp4", 5) as film:
        for left in (0, 0, 4):
            film.write(scene.crop((left, 0, left + 96, 96)))
    arguments = ["tool", "segment-film", result.checkpoint, str(tmp_path / "in.mp4"), "--out", str(tmp_path), "--json"]
    assert cli.main(arguments) == 0
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert told["frames"] == 3 and 0 < told["temporal_consistency"] <= 1
    rows = told["rows"]
    assert [row["consistency"] is None for row in rows] == [True, False, False] and rows[1]["consistency"] > 0.8
    assert sum(rows[0][name] for name in ("background", "0", "1")) == pytest.approx(100, abs=0.1)
    assert len(list(frames(tmp_path / "segment-film.mp4", 1))) == 3


def test_a_click_marks_a_part_of_a_photo(done, tmp_path, capsys, monkeypatch):
    _, result, home, images = done
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    click = ["tool", "click", result.checkpoint, str(images / "0.png"), "--out", str(tmp_path), "--json", "--inside"]
    assert cli.main([*click, "40,50", "--outside", "5,5"]) == 0
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    inside = filled_by(told["rle"], (150, 120))
    assert 100 * inside.mean() == pytest.approx(told["area_percent"], abs=0.01)
    assert cli.main([*click, "40,500"]) == 2 and "is not in the image" in capsys.readouterr().err


def test_some_classes_are_shown_as_strongly_as_wanted(done, tmp_path, capsys, monkeypatch):
    _, result, home, images = done
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    photo = np.asarray(Image.open(images / "0.png").convert("RGB"))
    show = ["tool", "show-classes", result.checkpoint, str(images / "0.png"), "--out", str(tmp_path), "--json"]

    def shown(*options: str) -> tuple[dict, np.ndarray]:
        assert cli.main([*show, *options]) == 0
        told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
        return told, np.asarray(Image.open(told["image"]).convert("RGB"))

    everything, _ = shown()
    assert everything["area_percent"] == pytest.approx(100, abs=0.1)
    told, drawn = shown("--classes", "background")  # which is never coloured
    assert [row["label"] for row in told["rows"]] == ["background"] and np.array_equal(drawn, photo)
    _, faint = shown("--strength", "0")
    right = photo.shape[1] // 2  # beside the legend
    assert np.array_equal(faint[:, right:], photo[:, right:])
    assert cli.main([*show, "--classes", "backgroud"]) == 2 and "background" in capsys.readouterr().err


def test_evaluating_a_checkpoint_again_gives_its_numbers(done):
    _, result, home, _ = done
    again = changed(train={"epochs": 0}, model={"checkpoint": result.checkpoint})
    _, second = work(again, home)
    assert second.status == "finished", second.error
    assert second.metrics["miou"] == pytest.approx(result.metrics["miou"], abs=1e-9)
    only = changed(train={"epochs": 0}, model={"checkpoint": result.checkpoint}, eval={"only": ["background"]})
    _, third = work(only, home)
    assert third.metrics["miou"] == pytest.approx(result.metrics["miou_per_class"]["background"], abs=1e-6)


def test_a_network_that_is_none_of_transformers_has_no_hugging_face_folder(done, tmp_path):
    _, result, home, _ = done
    with pytest.raises(UsageError, match="no network of transformers"):
        export_checkpoint(result.checkpoint, "hf", tmp_path / "hf", home)


def test_segformer_leaves_as_a_folder_that_transformers_reads(home, tmp_path):
    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

    report = exported(home, tmp_path, "segment/segformer", encoder_folder())
    assert "SegformerForSemanticSegmentation of transformers gives the same logits" in report["note"]
    model = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "hf", local_files_only=True)
    assert model.config.id2label == {0: "background", 1: "0", 2: "1"}
    assert AutoImageProcessor.from_pretrained(tmp_path / "hf", local_files_only=True).size["height"] == SIZE


def test_eomt_leaves_as_a_folder_that_transformers_reads(home, tmp_path):
    report = exported(home, tmp_path, "segment/eomt", dinov2_folder())
    assert "EomtForUniversalSegmentation of transformers gives the same logits" in report["note"]


@pytest.mark.parametrize("method", ["mask2former", "dpt"])
def test_a_whole_network_of_transformers_leaves_as_a_folder_again_and_one_on_a_backbone_of_ours_does_not(
    method, home, tmp_path
):
    whole, name = {
        "mask2former": (mask2former_folder, "Mask2FormerForUniversalSegmentation"),
        "dpt": (dpt_folder, "DPTForSemanticSegmentation"),
    }[method]
    report = exported(home, tmp_path, f"segment/{method}", whole())
    assert f"{name} of transformers gives the same logits" in report["note"]
    with pytest.raises(UsageError, match="no network of transformers"):
        small(f"segment/{method}").save_hugging_face(Preprocess(SIZE), ["background", "0", "1"], tmp_path / "ours")


def exported(home, folder, method: str, backbone: str) -> dict:
    """What is said of the Hugging Face folder of a network after one step."""
    values = changed(model={"backbone": backbone}, train={"max_steps": 1})
    _, result = work({**values, "method": method, "params": {}}, home)
    assert result.status == "finished", result.error
    return export_checkpoint(result.checkpoint, "hf", folder / "hf", home)


@pytest.mark.slow
def test_a_checkpoint_leaves_as_onnx_for_any_size(done, tmp_path):
    import onnxruntime

    _, result, home, _ = done
    report = export_checkpoint(result.checkpoint, "onnx", tmp_path / "onnx", home)
    assert "any size" in report["note"] and "Largest difference" in report["note"]
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"), providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": np.zeros((1, 3, 64, 128), np.float32)})[0]
    assert found.shape == (1, 3, 64, 128)


def test_a_checkpoint_of_other_classes_is_gone_on_from(done):
    _, result, home, _ = done
    more = {name: spec.replace("classes=2", "classes=3") for name, spec in RUN["data"].items()}
    run, second = work(changed(data=more, model={"checkpoint": result.checkpoint}), home)
    assert second.status == "finished", second.error
    assert any("last layers are made anew for 4" in e["message"] for e in run.events() if e["kind"] == "note")
    run, refused = work(changed(data=more, model={"checkpoint": result.checkpoint}, train={"epochs": 0}), home)
    assert refused.status == "failed" and "needs the same classes" in refused.error


def test_losses_schedules_and_practice_go_through_a_run(home):
    values = changed(
        params={"loss": "cross-entropy+lovasz", "balance": True, "schedule": "poly"},
        train={"ema": 0.9, "rare_classes": 0.1, "micro_batch": 2, "augment": "flip"},
        data={"short_side": 96},
    )
    run, result = work(values, home)
    assert result.status == "finished", result.error
    assert {"train/cross-entropy", "train/lovasz"} <= {e["name"] for e in run.events() if e["kind"] == "scalar"}


def test_a_transformer_looks_through_its_own_window(home):
    values = changed(model={"backbone": VIT, "image_size": None}, data={"short_side": 192}, train={"max_steps": 1})
    run, result = work(values, home)
    assert result.status == "finished", result.error
    assert any("maps are brought to these" in e["message"] for e in run.events() if e["kind"] == "note")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"eval": {"selection": "oracle"}}, "oracle"),
        ({"data": {"short_side": 32}}, "short_side"),
        ({"params": {"loss": "hinge"}}, "params.loss"),
        ({"train": {"mixup": 0.2}}, "mixup"),
    ],
)
def test_what_does_not_go_together_is_refused_when_a_recipe_is_read(sections, message):
    with pytest.raises(UsageError, match=message):
        recipes.parse(changed(**sections))


def test_a_class_that_is_not_there_can_not_be_counted_alone(home):
    _, result = work(changed(eval={"only": ["backgrund"]}), home)
    assert result.status == "failed" and "background" in result.error


def test_maps_are_drawn_at_the_image_s_size_and_written_with_a_palette():
    image, mask = Image.new("RGB", (40, 30), "grey"), np.zeros((15, 20), np.uint8)
    mask[5:, 10:] = 1
    drawn = np.asarray(draw_mask(image, mask, ["background", "thing"], {"thing": 33.0}))
    assert drawn.shape == (30, 40, 3) and (drawn[25, 35] != 128).any() and (drawn[25, 3] == 128).all()
    truth = np.zeros((30, 40), np.uint8)
    truth[:, :2] = VOID
    wrong = np.asarray(draw_errors(image, mask, truth))
    assert (wrong[25, 35] != wrong[25, 5]).any() and (wrong[25, 0] == 255).all()
    with Image.open(io.BytesIO(palette_png(mask, 2))) as written:
        np.testing.assert_array_equal(np.asarray(written), mask)
        assert len(written.getpalette()) >= 6


def test_real_street_scenes_are_read_with_their_void(shared_data):
    folder = Path(shared_data) / "camvid_mini"
    if not folder.is_dir():
        pytest.skip("no camvid_mini")
    data = open_data(f"masks:{folder}?ignore=11&classes=camvid")
    assert len(data.classes) == 11 and {name: len(rows) for name, rows in data.splits.items()} == {
        "train": 120,
        "val": 40,
    }
    assert VOID in data.items[0].mask.read() and SIZE


def test_a_run_can_be_stopped_while_it_reads_its_images(tmp_path):
    _, result = work(RUN, Home.find(tmp_path), should_stop=lambda: True)
    assert result.status == "stopped" and result.error.startswith("Stopped after decoding 1 of")
