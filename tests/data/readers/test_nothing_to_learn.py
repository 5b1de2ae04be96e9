"""A run that would learn nothing is refused in a sentence at its start, from the command line and from Python alike."""

import json

import pytest
from PIL import Image

from studio import run
from studio.cli import main
from studio.core.errors import UsageError
from studio.data import check


@pytest.fixture
def crowds(tmp_path):
    """Four images whose every box is a crowd."""
    entries, annotations = [], []
    for number in range(4):
        Image.new("RGB", (64, 48), (60 * number, 9, 9)).save(tmp_path / f"{number}.jpg")
        entries.append({"id": number, "file_name": f"{number}.jpg", "width": 64, "height": 48})
        annotations.append({"image_id": number, "category_id": 1, "bbox": [5, 5, 30, 30], "iscrowd": 1})
    content = {"images": entries, "annotations": annotations, "categories": [{"id": 1, "name": "nut"}]}
    (tmp_path / "ann.json").write_text(json.dumps(content))
    return f"coco:{tmp_path / 'ann.json'}"


def test_the_check_says_that_a_run_would_be_refused(crowds):
    report = check(crowds)
    assert report.learns.startswith("nothing") and any("and is refused" in problem for problem in report.problems)


@pytest.mark.slow
def test_boxes_that_are_all_ignored_are_refused(crowds, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    with pytest.raises(UsageError, match="all 4 boxes .* are ignored: there is nothing to learn"):
        run("detect-quick", {"data.train": crowds, "train.precision": "fp32"})
    settings = ["--set", f"data.train={crowds}", "--set", "train.precision=fp32"]
    assert main(["run", "detect-quick", *settings, "--quiet"]) == 2
    assert "there is nothing to learn. ?crowds=learn" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_classes_are_not_learned_from_boxes(crowds, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    with pytest.raises(UsageError, match="has boxes, and no class for each image"):
        run("quickstart", {"data.train": crowds, "train.precision": "fp32"})
