"""Data examined for the page: in a process of its own, within bounds, once for as long as they stay as they are."""

import os
import zipfile

import numpy as np
import psutil
import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.data.items import ArraySource, Dataset, Item
from studio.runs import examine
from studio.runs.examine import KEPT, Bounds, Examiner, _spread
from studio.ui.actions import Actions


@pytest.fixture
def photos(tmp_path):
    draw = np.random.default_rng(0)
    for label in ("cat", "dog"):
        for number in range(3):
            path = tmp_path / "photos" / label / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def counted(monkeypatch):
    """How many processes were started."""
    started = []
    spawn = examine.spawn
    monkeypatch.setattr("studio.runs.examine.spawn", lambda *args: started.append(args) or spawn(*args))
    return started


def test_the_report_and_images_come_from_another_process_once_for_the_same_content(home, photos, counted):
    cut = photos / "cat" / "1.jpg"
    cut.write_bytes(cut.read_bytes()[:400])
    examiner = Examiner()
    found = examiner.examine(f"folder:{photos}", home)
    assert found.report["images"] == 5 and len(found.report["broken"]) == 1  # a cut image stops nothing
    assert sorted(caption for _, caption in found.images) == ["cat", "cat", "dog", "dog", "dog"]
    again = examiner.examine(f"folder:{photos}", home)
    assert again.report == found.report and len(counted) == 1
    (photos / "cat" / "0.jpg").unlink()
    assert examiner.examine(f"folder:{photos}", home).report["images"] == 4 and len(counted) == 2
    assert {path.name[0] for path in (home.root / "examined").iterdir()} & {"."} == set()


@pytest.mark.parametrize(("classes", "per_class", "shown"), [(5, 6, 16), (20, 3, 16), (2, 3, 6), (1, 1, 1)])
def test_the_images_that_are_shown_are_of_as_many_classes_as_fit(classes, per_class, shown):
    labels = [label for label in range(classes) for _ in range(per_class)]
    items = [
        Item(str(number), label, ArraySource(np.zeros((4, 4, 3), np.uint8))) for number, label in enumerate(labels)
    ]
    spread = _spread(Dataset("", list(map(str, range(classes))), items))
    assert len(spread) == shown and len({item.label for item in spread}) == min(classes, shown)


def test_what_takes_too_long_or_too_much_memory_is_ended_and_said(home):
    spec = "builtin:scenes?images=3000&size=512"
    for bounds, words in ((Bounds(seconds=0.5), "0 s, which"), (Bounds(memory_gb=0.05), "0.05 GB of memory")):
        with pytest.raises(DataError, match=words):
            Examiner().examine(spec, home, bounds)
        assert not [p for p in psutil.Process().children() if "studio.runs.examine" in " ".join(p.cmdline())]
    assert list((home.root / "examined").iterdir()) == []


def test_data_that_cant_be_read_are_refused_by_the_same_sentence_and_their_upload_is_deleted(home, tmp_path):
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "no image is in here")
    actions = Actions(home)
    spec = actions.take_zip(file)
    kept = home.uploads / os.path.basename(spec)
    assert kept.exists()
    with pytest.raises(DataError, match="holds no"):
        actions.examine(spec)
    assert not kept.exists() and file.exists()


def test_the_newest_examined_sets_are_kept(home):
    folder = home.root / "examined"
    for number in range(KEPT + 5):
        (folder / f"{number:03d}").mkdir(parents=True)
        os.utime(folder / f"{number:03d}", (number, number))
    examine._forget(folder)
    assert sorted(os.listdir(folder)) == [f"{number:03d}" for number in range(5, KEPT + 5)]
