"""A run means by a relative path what it meant where it was filed."""

from pathlib import Path

import pytest
from PIL import Image

from studio.core import recipe as recipes
from studio.core.home import Home
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store

RECIPE = {
    "method": "fewshot/prototypes",
    "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "folder:photos"},
    "eval": {"ways": 2, "shots": 1, "queries": 1, "episodes": 5},
}


@pytest.fixture
def filed(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A run that was filed in the folder `first`, where its photos are; now we are somewhere else."""
    for label, colour in (("cat", "red"), ("dog", "blue")):
        folder = tmp_path / "first" / "photos" / label
        folder.mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (16, 16 + number), colour).save(folder / f"{number}.png")
    monkeypatch.chdir(tmp_path / "first")
    run = submit(recipes.parse(RECIPE), Store(home))
    (tmp_path / "second").mkdir()
    monkeypatch.chdir(tmp_path / "second")
    return run


def test_its_data_are_found_from_another_folder(filed, home: Home, tmp_path: Path) -> None:
    result = run_inline(filed, home)
    assert result.status == "finished", result.error
    assert Path.cwd() == tmp_path / "second"


def test_where_that_folder_is_gone_it_says_so_and_where_it_looked(filed, home: Home, tmp_path: Path) -> None:
    (tmp_path / "first").rename(tmp_path / "moved")
    result = run_inline(filed, home)
    assert f"There is no folder photos in {tmp_path / 'second'}" in (result.error or "")
    notes = [event["message"] for event in filed.events() if event["kind"] == "note"]
    assert any(f"filed in {tmp_path / 'first'}, which is gone" in note for note in notes)
