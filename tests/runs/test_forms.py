"""Smaller and faster forms of a classifier: they answer as float does, or are not kept."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from studio import run
from studio.core.errors import DataError, StudioError, UsageError
from studio.core.home import Home
from studio.runs.export import Wishes, export_checkpoint, write_onnx
from studio.runs.forms.judge import judged, milliseconds, refuse_if_worse
from studio.runs.forms.own_images import own_images
from studio.runs.forms.runners import onnx_form
from studio.runs.forms.smaller import write_fp16, write_int8
from studio.store import Store

TINY = {"model.backbone": "studio/conv4", "model.image_size": 16, "data.train": "builtin:digits?per_class=12"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Home.find(tmp_path_factory.mktemp("forms") / "home")


@pytest.fixture(scope="module")
def probe(home):
    return run("quickstart", {**TINY, "method": "finetune/linear-probe"}, home=home).checkpoint


@pytest.fixture(autouse=True)
def float_onnx_is_written_once(monkeypatch, written):
    monkeypatch.setattr("studio.runs.export.write_onnx", lambda model, folder: written(model, folder / "model.onnx"))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    kept = tmp_path_factory.mktemp("float")

    def write(model, path):
        if not (kept / "model.onnx").exists():
            write_onnx(model, kept)
        shutil.copy(kept / "model.onnx", path)

    return write


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx-fp16", "onnx-int8", "openvino"])
def test_a_smaller_form_is_judged_beside_float_on_the_runs_own_images(home, probe, kind, tmp_path):
    if kind == "openvino":
        pytest.importorskip("openvino")
    report = export_checkpoint(probe, kind, tmp_path, home, Wishes(max_drop=0.5))
    floats, smaller = report["forms"]
    assert (floats["form"], smaller["form"]) == ("onnx", kind) and floats["agreement"] == 1
    assert smaller["agreement"] >= (0.8 if kind == "onnx-int8" else 1) and smaller["ms"] > 0
    assert kind == "openvino" or smaller["size_mb"] < 0.7 * floats["size_mb"]
    assert smaller["images"] == 20 and "(val)" in report["note"], "a fifth of 120 images was held out"
    assert json.loads((tmp_path / "model.json").read_text())["classes"] == list("0123456789")


@pytest.fixture(scope="module")
def convolution(tmp_path_factory):
    """A file of one convolution whose four channels differ in size a thousandfold, and its average over the image."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)) * np.array([1, 10, 100, 1000])[:, None, None, None]
    nodes = [
        helper.make_node("Conv", ["images", "weight"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["means"]),
        helper.make_node("Flatten", ["means"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes, "one", [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["b", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 4])],
        [numpy_helper.from_array(weight.astype(np.float32), "weight")],
    )  # fmt: skip
    path = tmp_path_factory.mktemp("conv") / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_int8_weights_have_a_scale_for_each_channel(convolution, tmp_path):
    import onnx
    from onnx import numpy_helper

    images = np.random.default_rng(1).normal(size=(32, 3, 8, 8)).astype(np.float32)
    write_int8(convolution, tmp_path / "int8.onnx", [images[:16], images[16:]])
    arrays = [numpy_helper.to_array(array) for array in onnx.load(tmp_path / "int8.onnx").graph.initializer]
    (weight,) = (array for array in arrays if array.dtype == np.int8 and array.ndim == 4)
    assert any(scale.shape == (4,) and scale.max() > 100 * scale.min() for scale in arrays)
    assert (np.abs(weight.astype(int)).max(axis=(1, 2, 3)) >= 126).all(), "each channel uses its whole range"
    assert apart(convolution, tmp_path / "int8.onnx", images)[3] < 0.02


def test_half_precision_is_the_same_to_its_rounding(convolution, tmp_path):
    images = np.random.default_rng(1).normal(size=(4, 3, 8, 8)).astype(np.float32)
    write_fp16(convolution, tmp_path / "fp16.onnx")
    assert apart(convolution, tmp_path / "fp16.onnx", images).max() < 0.01


def apart(one, other, images):
    """By channel [4], the largest difference in shares of the spread."""
    expected = onnx_form(one)(images)
    return np.abs(expected - onnx_form(other)(images)).max(axis=0) / np.ptp(expected, axis=0)


@pytest.mark.slow
def test_a_form_that_is_right_less_often_is_refused_and_nothing_is_left(home, probe, tmp_path, monkeypatch):
    monkeypatch.setattr("studio.runs.export.write_int8", lambda source, path, images: path.write_bytes(b""))
    monkeypatch.setattr("studio.runs.export.onnx_form", shuffled_unless_float)
    with pytest.raises(StudioError, match=r"onnx-int8 .* points less, where 1 may be lost.*--max-drop"):
        export_checkpoint(probe, "onnx-int8", tmp_path / "out", home)
    assert not any((tmp_path / "out").iterdir())


def shuffled_unless_float(path):
    if path.stat().st_size:
        return onnx_form(path)
    return lambda images: np.roll(np.eye(10)[np.arange(len(images)) % 10], 3, axis=1)


def test_what_may_be_lost_is_the_callers_to_say():
    rows = [{"form": "onnx", "accuracy": 0.95, "images": 100}, {"form": "onnx-int8", "accuracy": 0.93, "images": 100}]
    refuse_if_worse(*rows, "val", 0.02)
    with pytest.raises(StudioError, match="2.0 points less"):
        refuse_if_worse(*rows, "val", 0.019)


@pytest.mark.slow
def test_a_form_is_judged_on_test_images_where_the_run_had_some(home, probe):
    checkpoint = Store(home).checkpoint(probe)
    both = checkpoint.with_recipe(
        {**checkpoint.manifest.recipe, "data": {"train": "builtin:digits", "test": "builtin:digits?per_class=3"}}
    )
    own = own_images(both, home)
    assert own.where == "test" and len(own.judged) == 30 and len(own.calibration) == 128
    taught = both.with_method("fewshot/prototypes", {}).with_recipe(checkpoint.manifest.recipe)
    taught.manifest.face = "EpisodeHead"
    assert own_images(taught, home).where == "train, which it was taught with"


@pytest.mark.slow
def test_images_that_are_gone_are_asked_for_by_name(home, probe):
    checkpoint = Store(home).checkpoint(probe)
    moved = checkpoint.with_recipe({**checkpoint.manifest.recipe, "data": {"train": "folder:/nowhere"}})
    with pytest.raises(DataError, match="/nowhere.*--data folder:"):
        own_images(moved, home)
    assert len(own_images(moved, home, "builtin:digits?per_class=2").judged) == 20
    with pytest.raises(UsageError, match="no labelled images of its own"):
        own_images(checkpoint.with_recipe({**checkpoint.manifest.recipe, "data": {}}), home)


def test_forms_are_compared_by_answers_and_by_time():
    images = [(np.zeros((2, 3, 4, 4), np.float32), np.array([0, 1]))]
    right, wrong = (lambda _: np.array([[9.0, 0], [0, 9]])), (lambda _: np.array([[9.0, 0], [9, 0]]))
    rows = judged({"onnx": right, "onnx-int8": wrong}, images)
    assert rows["onnx"] == {"accuracy": 1, "agreement": 1, "difference": 0, "images": 2}
    assert rows["onnx-int8"]["accuracy"] == rows["onnx-int8"]["agreement"] == 0.5
    assert rows["onnx-int8"]["difference"] > 0.99

    def slow(images):
        np.linalg.svd(np.ones((150, 150)))

    spent = milliseconds({"quick": lambda images: None, "slow": slow}, images[0][0], rounds=3)
    assert spent["slow"] > spent["quick"]


@pytest.mark.slow
def test_every_form_that_can_be_made_here_is_measured(home, probe, monkeypatch, written):
    from studio.runs import bench

    monkeypatch.setattr(bench, "write_onnx", lambda model, folder: written(model, folder / "model.onnx"))
    monkeypatch.setattr(bench, "write_openvino", lambda source, path: (_ for _ in ()).throw(UsageError("not here")))
    left_out = []
    rows = bench.bench(probe, home, batch=2, threads=1, say=left_out.append)
    assert [row["form"] for row in rows] == ["torch", "onnx", "onnx-fp16", "onnx-int8"]
    assert rows[0]["speedup"] == 1 and all(row["images_per_s"] == pytest.approx(2000 / row["ms"]) for row in rows)
    assert left_out == ["openvino is left out: not here"]
