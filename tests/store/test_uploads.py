"""Uploads: bounded when they come, kept while something refers to them, removed by gc when nothing does."""

import os
import shutil
import time
import zipfile

import pytest

from studio.core import recipe as recipes
from studio.core.errors import DataError
from studio.store import Store
from studio.store.uploads import FORGOTTEN_S, NAME, UploadBounds, discard, keep_photos, keep_zip, safe_name

BOUNDS = UploadBounds(free_bytes=0)


@pytest.fixture
def photo(tmp_path):
    file = tmp_path / "a.jpg"
    file.write_bytes(b"x" * 1000)
    return str(file)


def a_zip(tmp_path, content=b"x"):
    file = tmp_path / "photos.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cat/1.jpg", content)
    return file


def age(path, seconds=2 * FORGOTTEN_S):
    for file in [path, *path.rglob("*")]:
        os.utime(file, (time.time() - seconds, time.time() - seconds))


def test_names_are_as_gc_knows_them(home, tmp_path, photo):
    for path in (keep_zip(a_zip(tmp_path), home, BOUNDS), keep_photos({"a": [photo], "b": [photo]}, home, BOUNDS)):
        assert NAME.fullmatch(path.name) and path.parent == home.uploads


@pytest.mark.parametrize("name", ["\N{GRINNING FACE}" * 80, "中" * 200, "e\u0301" * 99, "a" * 500, ".", "", "con", "."])
def test_a_class_of_any_name_is_a_folder(home, photo, name):
    folder = keep_photos({name or "x": [photo], "other": [photo]}, home, BOUNDS)
    assert len(list(folder.iterdir())) == 2 and len(safe_name(name).encode()) < 200


def test_classes_whose_names_are_cut_or_differ_in_case_stay_apart(home, photo):
    folder = keep_photos({"a" * 300: [photo], "a" * 301: [photo], "Cat": [photo], "cat": [photo]}, home, BOUNDS)
    assert sorted(len(list(path.iterdir())) for path in folder.iterdir()) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (UploadBounds(photos=3, free_bytes=0), "4 photos are too many"),
        (UploadBounds(upload_bytes=3000, free_bytes=0), "may be given at once"),
        (UploadBounds(visitor_bytes=3000, free_bytes=0), "in all"),
        (UploadBounds(all_bytes=3000, free_bytes=0), "no more room"),
        (UploadBounds(free_bytes=2**60), "too little room"),
    ],
)
def test_too_much_is_refused_and_leaves_nothing(home, photo, bounds, words):
    with pytest.raises(DataError, match=words):
        keep_photos({"a": [photo] * 2, "b": [photo] * 2}, home, bounds)
    assert list(home.uploads.iterdir()) == []


def test_a_photo_that_vanishes_on_the_way_leaves_nothing(home, photo):
    with pytest.raises(DataError):
        keep_photos({"a": [photo], "b": [photo + "-gone"]}, home, BOUNDS)
    assert list(home.uploads.iterdir()) == []


def test_what_is_refused_is_deleted_unless_a_run_uses_it(home, tmp_path, photo):
    kept = keep_zip(a_zip(tmp_path), home, BOUNDS)
    other = keep_photos({"a": [photo], "b": [photo]}, home, BOUNDS)
    Store(home).new_run(recipes.parse({"data": {"train": f"zip:{kept}"}}))
    assert not discard(kept, home) and kept.exists()
    assert discard(other, home) and not other.exists()
    assert not discard(tmp_path / "photos.zip", home) and (tmp_path / "photos.zip").exists()


def test_gc_removes_uploads_exports_and_leftovers_of_yesterday_that_nothing_refers_to(home, tmp_path, photo):
    store = Store(home)

    def photos():
        return keep_photos({"a": [photo], "b": [photo]}, home, BOUNDS)

    in_run, in_preset, unused, new = (photos() for _ in range(4))
    store.new_run(recipes.parse({"data": {"train": f"folder:{in_run}"}}))
    (home.presets / "mine.yaml").write_text(f"data: {{train: 'folder:{in_preset}'}}")
    visitors = home.uploads / "visitor1"
    visitors.mkdir()
    shutil.move(photos(), visitors / "photos-20260101-000000-abcd")
    (home.uploads / "0123456789abcdef.zip.part").write_bytes(b"half")
    for folder in ("exports", "examined"):
        (home.root / folder / "x").mkdir(parents=True)
        (home.root / folder / "x" / "file").write_bytes(b"x" * 500)
    (home.uploads / "a person's own").mkdir()
    for path in (home.uploads, home.root / "exports", home.root / "examined"):
        age(path)
    os.utime(new / "a" / next(iter(os.listdir(new / "a"))))
    expected = {unused.name, "photos-20260101-000000-abcd", "0123456789abcdef.zip.part", "x"}

    told = store.gc(dry_run=True)
    assert set(told["removed"]) == expected and told["bytes"] > 5000 and unused.exists()
    assert set(store.gc()["removed"]) == expected
    assert not unused.exists() and not (home.root / "exports" / "x").exists()
    assert in_run.exists() and in_preset.exists() and new.exists() and (home.uploads / "a person's own").exists()
    assert store.gc()["removed"] == []
