"""Detectors on one table: the same images for each, and a checkpoint of each."""

import pytest
from inline_runs import work
from small_runs import SMALL

from adapters.detect.run.comparison import COLUMNS, epochs_to
from studio.runs.predict import load_checkpoint

PAIR = ["detect/fcos", "detect/rf-detr"]
COMPARED = {
    **SMALL,
    "method": "detect/compare",
    "model": {"image_size": 128, "backbone": "timm/test_efficientnet?random"},
    "params": {"methods": PAIR},
}


def test_each_detector_has_a_row_and_leaves_a_checkpoint(home):
    run, result = work(COMPARED, home)
    assert result.status == "finished", result.error
    (table,) = [one for one in run.events() if one["kind"] == "table" and one["name"] == "comparison"]
    assert table["columns"] == COLUMNS and {row[0] for row in table["rows"]} == set(PAIR)
    assert set(result.metrics["map_by_name"]) == set(PAIR) and result.metrics["best"] in PAIR
    for row in table["rows"]:
        named = dict(zip(COLUMNS, row, strict=True))
        assert named["images/s"] > 0 and named["memory MB"] > 0
        model = load_checkpoint(named["checkpoint"], home)
        assert model.checkpoint.manifest.method == named["detector"] and model.classes == ["0", "1"]
    assert any(one["kind"] == "figure" and one["name"] == "comparison" for one in run.events())


def test_one_that_does_not_fit_the_backbone_is_left_out_and_said(home):
    run, result = work({**COMPARED, "params": {"methods": ["detect/fcos", "detect/yolos"]}}, home)
    assert result.status == "finished", result.error
    said = [one["message"] for one in run.events() if one["kind"] == "warning"]
    assert any("detect/yolos is left out" in one for one in said)
    assert list(result.metrics["map_by_name"]) == ["detect/fcos"]


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"params": {"methods": ["detect/fcos", "detect/retinet"]}}, "Did you mean"),
        ({"train": {**SMALL["train"], "epochs": 0}}, "trains anew"),
        ({"params": {"methods": ["detect/fcos", "detect/mean-teacher"]}}, "there is no detector"),
    ],
)
def test_what_can_not_be_compared_is_refused(home, sections, said):
    _, result = work({**COMPARED, **sections}, home)
    assert result.exit_code == 2 and said in result.error


def test_how_soon_a_detector_learns():
    history = [{"epoch": epoch, "map": value} for epoch, value in ((1, 0.1), (2, 0.46), (3, 0.4), (4, 0.5))]
    assert epochs_to(history) == 2 and epochs_to(history, 1.0) == 4
    assert epochs_to([{"epoch": 1, "map": 0.0}]) is None and epochs_to([]) is None
