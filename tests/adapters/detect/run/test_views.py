"""An image looked at several times: every view gives boxes in its pixels, and one answer comes of them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from adapters.detect.face import Detector
from adapters.detect.run.predictor import BoxPredictor
from adapters.detect.run.views import TTA, Ensemble, View, in_image, joined, views_of
from studio import cli
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.data.boxes import Detections
from studio.data.preprocess import Preprocess
from studio.runs.executors import run_inline
from studio.runs.predict import load_checkpoint
from studio.runs.runner import submit
from studio.store import Store

SMALL = {
    "task": "detect", "method": "detect/fcos", "model": {"image_size": 64},
    "data": {"train": "builtin:scenes?images=8&size=96&classes=2"},
    "params": {"width": 32, "depth": 1}, "train": {"epochs": 1, "batch_size": 4}, "device": "cpu",
}  # fmt: skip


class Bright(Detector):
    """Finds the box around all bright pixels of its input."""

    def predict(self, images):
        out = []
        for image in images:
            rows, columns = torch.nonzero(image[0] > 0.5, as_tuple=True)
            corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            out.append(Detections(np.array([corners], np.float32), np.zeros(1, np.int64), np.ones(1, np.float32)))
        return out


def plain(size: int) -> Preprocess:
    return Preprocess(size, mean=(0.0,) * 3, std=(1.0,) * 3, squash=True)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_view_gives_boxes_in_pixels_of_the_image(mirrored):
    pixels = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    pixels[:, :, 16:32, 8:40] = 255
    found = View(Bright(), plain(64), mirrored).find(pixels, [(128, 64)])[0]
    np.testing.assert_allclose(found.xyxy, [[16, 16, 80, 32]])


def test_views_are_all_sizes_plain_and_mirrored():
    seen = views_of(Bright(), plain(320), TTA(mirror=True, scales=(0.7, 1.0, 1.3)))
    assert [(view.preprocess.image_size, view.mirrored) for view in seen] == [
        (side, mirrored) for side in (224, 320, 416) for mirrored in (False, True)
    ]
    assert not any(view.before_nms for view in seen)
    assert all(view.before_nms for view in views_of(Bright(), plain(320), TTA(fusion="soft-nms")))
    assert [view.preprocess.image_size for view in views_of(Bright(), plain(100), TTA())] == [100]


def test_one_view_without_a_fusion_is_left_as_it_is():
    found = Detections(np.array([[0, 0, 9, 9]] * 2, np.float32), np.zeros(2, int), np.array([0.9, 0.8], np.float32))
    assert joined([[found]], TTA())[0] is found
    assert len(joined([[found], [found]], TTA())[0]) == 1
    assert len(joined([[found]], TTA(fusion="nms"))[0]) == 1


class Says(BoxPredictor):
    def __init__(self, classes: list[str], label: int) -> None:
        self.classes, self.label = classes, label

    def boxes(self, images):
        one = Detections(np.array([[0, 0, 9, 9]], np.float32), np.array([self.label]), np.full(1, 0.5, np.float32))
        return [one for _ in images]


def test_an_ensemble_goes_by_the_names_of_classes():
    image = Image.new("RGB", (10, 10))
    found = Ensemble([Says(["a", "b"], 1), Says(["b", "a"], 0)], TTA(), 0.5).boxes([image])[0]
    assert found.labels.tolist() == [1] and found.scores.tolist() == [0.5]
    alone = Ensemble([Says(["a", "b"], 1), Says(["b", "a"], 1)], TTA(), 0.5).boxes([image])[0]
    assert sorted(alone.labels.tolist()) == [0, 1] and alone.scores.tolist() == [0.25, 0.25]
    with pytest.raises(UsageError, match="know different classes"):
        Ensemble([Says(["a", "b"], 0), Says(["a", "c"], 0)], TTA(), 0.5)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two checkpoints of different methods and sizes, in one home."""
    home = Home.find(tmp_path_factory.mktemp("views") / "home")
    made = []
    for method, size in (("detect/fcos", 64), ("detect/retinanet", 96)):
        params = {"width": 32, **({"depth": 1} if method == "detect/fcos" else {})}
        values = {**SMALL, "method": method, "model": {"image_size": size}, "params": params}
        result = run_inline(submit(recipes.parse(values), Store(home)), home)
        assert result.status == "finished", result.error
        made.append(result.checkpoint)
    return home, made


def test_a_run_judges_as_eval_says_and_its_checkpoint_looks_the_same_way(two):
    home, (first, second) = two
    settings = {"mirror": True, "scales": [1.0, 1.5], "ensemble": [second]}
    again = {**SMALL, "model": {"checkpoint": first, "image_size": 64}, "train": {"epochs": 0}, "eval": settings}
    result = run_inline(submit(recipes.parse(again), Store(home)), home)
    assert result.status == "finished", result.error
    model = load_checkpoint(result.checkpoint, home)
    assert isinstance(model.predictor, Ensemble) and len(model.predictor.members) == 2
    assert model.predictor.members[0].tta == TTA(True, (1.0, 1.5), None, 0.55)
    image = Image.new("RGB", (150, 120), "white")
    for found in model.predictor.boxes([image]):
        assert (found.xyxy[:, [0, 2]] <= 150).all() and (found.xyxy >= 0).all()


@pytest.mark.parametrize("fusion", ["nms", "soft-nms", "voting", "wbf"])
def test_every_fusion_works_on_one_checkpoint(two, fusion):
    home, (first, _) = two
    model = load_checkpoint(first, home, look={"fusion": fusion, "overlap": 0.5})
    assert len(model.predictor.boxes([Image.new("RGB", (96, 96), "white")])) == 1


def test_raw_boxes_have_duplicates_and_leave_the_detector_as_it_was(two):
    home, made = two
    for name in made:
        learner = load_checkpoint(name, home).predictor.learner
        images = torch.randn(1, 3, 64, 64)
        with torch.inference_mode():
            before = learner.predict(images)[0]
            before_nms = learner.predict_before_nms(images)[0]
            restored = learner.predict(images)[0]
        assert len(before_nms) > len(before) == len(restored)


def test_predict_takes_the_ways_of_looking_and_refuses_others(two, tmp_path, capsys, monkeypatch):
    home, (first, second) = two
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    image = tmp_path / "white.png"
    Image.new("RGB", (96, 96), "white").save(image)
    words = ["--mirror", "--scales", "1,1.5", "--ensemble", second, "--fusion", "wbf", "--overlap", "0.6", "--json"]
    assert cli.main(["predict", first, str(image), *words]) == 0
    assert "boxes" in json.loads(capsys.readouterr().out.strip().splitlines()[-1])[0]
    assert cli.main(["predict", first, str(image), "--fusion", "median"]) == 2
    assert "look.fusion" in capsys.readouterr().err
    with pytest.raises(UsageError, match="unknown key 'miror'.*mirror"):
        load_checkpoint(first, home, look={"miror": True})


def test_boxes_go_back_to_the_image():
    found = Detections(np.array([[16, 16, 32, 48], [-5, 0, 70, 64]], np.float32), np.zeros(2, int), np.ones(2))
    np.testing.assert_allclose(in_image(found, (128, 32), 64).xyxy, [[32, 8, 64, 24], [0, 0, 128, 32]])
