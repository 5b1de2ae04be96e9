"""A run between two domains, from recipe to checkpoint."""

import pytest
from PIL import Image

from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.runs.executors import run_inline
from studio.runs.predict import load_checkpoint
from studio.runs.runner import submit
from studio.store import Store

IMAGES = "builtin:scenes?images=8&size=64&classes=2"
SMALL = {
    "task": "detect",
    "method": "detect/mean-teacher",
    "model": {"image_size": 64, "backbone": "timm/resnet18?random"},
    "data": {
        "source": IMAGES, "target": f"{IMAGES}&look=fog&seed=1",
        "test": "builtin:scenes?images=4&size=64&classes=2&look=fog&seed=2",
    },
    "params": {
        "detector": "detect/fcos", "detector_params": {"width": 32, "depth": 1}, "burn_in": 1, "threshold": 0.02,
    },
    "train": {"epochs": 2, "batch_size": 3, "checkpoint_every_s": 0},
    "eval": {"selection": "last"},
    "device": "cpu",
}  # fmt: skip
PLAIN = {"method": "detect/fcos", "params": {}, "data": {"train": IMAGES}}


def work(home, **changes):
    run = submit(recipes.parse({**SMALL, **changes}), Store(home))
    return run, run_inline(run, home)


def test_a_run_is_scored_on_the_target_and_its_checkpoint_predicts(home):
    run, result = work(home)
    assert result.status == "finished", result.error
    assert result.metrics["scored_on"] == "test" and result.metrics["selection"] == "last"
    assert {"map", "map_50"} <= result.metrics.keys()
    notes = " ".join(one["message"] for one in run.events() if one["kind"] == "note")
    assert "Target: 8 images without their boxes" in notes and "data.test" in notes
    assert any(one["name"].startswith("train/target_") for one in run.events() if one["kind"] == "scalar")
    model = load_checkpoint(result.checkpoint, home)
    assert "boxes" in model.predict([Image.new("RGB", (80, 60))])[0]


def test_it_goes_on_from_a_detector_of_the_source_and_is_read_beside_it(home):
    params = SMALL["params"]["detector_params"]
    _, source = work(home, **{**PLAIN, "params": params, "train": {"epochs": 1, "batch_size": 3}, "eval": {}})
    assert source.status == "finished", source.error
    model = {**SMALL["model"], "checkpoint": source.checkpoint}
    _, result = work(home, model=model, train={"epochs": 1, "batch_size": 3})
    assert result.status == "finished", result.error
    assert {"source_only_map", "source_only_map_50"} <= result.metrics.keys()
    assert Store(home).checkpoint(result.checkpoint).manifest.lineage["parent"] == source.checkpoint


@pytest.mark.usefixtures("asked_at_every_step")
def test_a_stopped_adaptation_goes_on_with_its_teacher(home):
    _, whole = work(home)
    run = submit(recipes.parse(SMALL), Store(home))

    def after_three_steps() -> bool:
        return sum(one["kind"] == "scalar" and one["name"] == "train/classification" for one in run.events()) >= 3

    assert run_inline(run, home, should_stop=after_three_steps).status == "stopped"
    rest = run_inline(run, home, resume=True, should_stop=lambda: False)
    assert rest.status == "finished", rest.error
    tensors = [Store(home).checkpoint(one.checkpoint).tensors() for one in (rest, whole)]
    assert all((tensors[0][name] == tensors[1][name]).all() for name in tensors[0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": {"train": IMAGES}}, "data.source: nothing is named"),
        ({"eval": {"selection": "label-free"}}, "eval.selection: found 'label-free'"),
        ({"params": {"detector": "detect/da-faster-rcnn"}}, "params.detector"),
        (
            {"method": "detect/fcos", "params": {}, "data": {"train": IMAGES}, "eval": {"selection": "oracle"}},
            "oracle",
        ),
    ],
)
def test_what_can_not_be_done_is_refused(home, changes, said):
    try:
        _, result = work(home, **changes)
        code, error = result.exit_code, result.error
    except UsageError as refused:  # already when the recipe was read
        code, error = refused.exit_code, str(refused)
    assert code == 2 and said in error
