"""Data examined for the page: in a process of its own, within bounds, once for as long as they stay as they are."""

import base64
import io
import os
import zipfile

import numpy as np
import psutil
import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.core.home import Home
from studio.runs import examine
from studio.runs.examine import KEPT, Bounds, Examiner
from studio.runs.examine_process import examine as examine_here
from studio.runs.image_map import TILE, read_map, write_map
from studio.runs.image_table import read_table, shown_rows
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
    table = examiner.table(found.name, home)
    assert sorted(table.labels_of(row)[0] for row in table.rows) == ["cat", "cat", "dog", "dog", "dog"]
    again = examiner.examine(f"folder:{photos}", home)
    assert again.report == found.report and len(counted) == 1
    (photos / "cat" / "0.jpg").unlink()
    assert examiner.examine(f"folder:{photos}", home).report["images"] == 4 and len(counted) == 2
    assert {path.name[0] for path in (home.root / "examined").iterdir()} & {"."} == set()


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory):
    """Images in two splits and two classes: one is in both splits, one in both classes, one is cut short."""
    folder, draw = tmp_path_factory.mktemp("looked"), np.random.default_rng(1)
    for split, label, numbers in (("train", "cat", 3), ("train", "dog", 3), ("test", "cat", 2)):
        (folder / "photos" / split / label).mkdir(parents=True)
        for number in range(numbers):
            pixels = draw.integers(0, 255, (40, 60, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / split / label / f"{number}.png")
    copy(folder, "train/dog/0.png", "test/cat/9.png")
    copy(folder, "train/dog/1.png", "train/cat/9.png")
    (folder / "photos" / "train" / "cat" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    examine_here(f"folder:{folder / 'photos'}", folder, Home.find(folder / "home"))
    return read_table(folder)


def copy(folder, source, target):
    (folder / "photos" / target).write_bytes((folder / "photos" / source).read_bytes())


def test_images_are_found_by_class_split_and_problem(looked_at):
    def names(rows):
        return [looked_at.rows[row].name for row in rows]

    assert len(looked_at.select()) == looked_at.images == 10
    assert names(looked_at.select("cat", "test")) == ["test/cat/0.png", "test/cat/1.png", "test/cat/9.png"]
    assert looked_at.select("cow") == looked_at.select(split="val") == []
    assert looked_at.counts() == {"broken": 1, "leaks": 1, "conflicts": 2, "duplicates": 2}
    assert [sorted(names(group)) for group in looked_at.groups_of("leaks")] == [["test/cat/9.png", "train/dog/0.png"]]
    assert len(looked_at.groups_of("conflicts", split="test")) == 1  # the other pair is of train alone
    assert [name for name, _ in looked_at.broken] == ["train/cat/cut.png"]
    with pytest.raises(DataError, match="problem: found"):
        looked_at.groups_of("blurred")


def test_a_thumbnail_is_the_image(looked_at):
    for row in looked_at.select():
        kind, _, data = looked_at.thumbnail(row).partition(",")
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.size == (60, 40) and kind == "data:image/jpeg;base64"


def test_boxes_are_drawn_on_a_thumbnail_and_say_its_classes(home, tmp_path):
    examine_here("builtin:scenes?images=3&size=64&classes=2", tmp_path, home)
    table = read_table(tmp_path)
    assert table.select(table.classes[0]) and all(row.classes for row in table.rows)


def test_a_map_has_a_point_and_a_tile_for_each_image(looked_at, monkeypatch):
    monkeypatch.setattr("studio.runs.image_map.BACKBONE", "studio/conv4")
    write_map(looked_at.spec, looked_at.folder, Home.find(looked_at.folder / "home"))
    made = read_map(looked_at.folder)
    assert sorted(made.places) == looked_at.select() and len(made.colours) == 2
    assert all(0 <= value <= 1 for point in made.points for value in point)
    with Image.open(io.BytesIO(base64.b64decode(made.tiles.partition(",")[2]))) as sheet:
        assert sheet.width == made.columns * TILE and sheet.width * sheet.height >= len(made.places) * TILE**2
    assert read_map(looked_at.folder / "home") is None


def test_of_a_very_large_set_evenly_spaced_images_are_shown():
    rows = shown_rows(100_000)
    assert len(rows) == 20_000 and rows[0] == 0 and rows[-1] == 99_999 and {5, 6} >= set(np.diff(rows[:100])) - {5}
    assert list(shown_rows(3)) == [0, 1, 2]


def test_what_was_examined_for_one_visitor_is_not_there_for_another(home, photos):
    mine, other, name = home.seen_by("visitor01"), home.seen_by("visitor02"), "a1" * 12
    own, folder = mine.uploads / "photos-20260101-000000-abcd", home.root / "examined" / name
    own.parent.mkdir(parents=True)
    photos.rename(own)
    folder.mkdir(parents=True)
    examine_here(f"folder:{own}", folder, mine)
    examiner = Examiner()
    assert len(examiner.table(name, mine).rows) == 6
    with pytest.raises(DataError, match="neither"):
        examiner.table(name, other)
    for name in ("../../runs", "0" * 24):
        with pytest.raises(DataError, match="no longer kept"):
            examiner.table(name, mine)


def test_what_takes_too_long_or_too_much_memory_is_ended_and_said(home):
    spec = "builtin:scenes?images=3000&size=512"
    for bounds, words in ((Bounds(seconds=0.5), "0 s, which"), (Bounds(memory_gb=0.05), "0.05 GB of memory")):
        with pytest.raises(DataError, match=words):
            Examiner().examine(spec, home, bounds)
        assert not [p for p in psutil.Process().children() if "studio.runs.examine_process" in " ".join(p.cmdline())]
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
