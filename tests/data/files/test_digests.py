"""Content hashes: remembered as long as the file is the same, and never wrongly."""

import hashlib
import os
import shutil
import sqlite3
import time

import pytest

from studio.core.errors import StoppedByUser
from studio.data import open_data
from studio.data.files.digests import digests
from studio.data.items import FileSource


@pytest.fixture
def files(tmp_path):
    made = []
    for number in range(5):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(bytes([number]) * 50)
        age(path)
        made.append(FileSource(path))
    return made


def age(path, seconds=3600):
    os.utime(path, (time.time() - seconds,) * 2)


def spy(monkeypatch):
    """The files that are read from now on."""
    read = []
    original = FileSource.digest
    monkeypatch.setattr(FileSource, "digest", lambda self: read.append(self.path) or original(self))
    return read


def test_a_file_is_read_once_and_again_when_it_changed(home, files, monkeypatch):
    read = spy(monkeypatch)
    first = digests(files, home)
    assert first[2] == hashlib.sha256(bytes([2]) * 50).hexdigest() and len(read) == 5
    assert digests(files, home) == first and len(read) == 5
    files[1].path.write_bytes(b"other" * 10)  # the same size
    age(files[1].path, 1800)
    assert digests(files, home)[1] == hashlib.sha256(b"other" * 10).hexdigest() and len(read) == 6


def test_a_file_changed_a_moment_ago_is_not_trusted_to_stay(home, files, monkeypatch):
    now = time.time_ns()
    os.utime(files[0].path, ns=(now, now))
    digests(files, home)
    files[0].path.write_bytes(b"x" * 50)
    os.utime(files[0].path, ns=(now, now))  # size and time tell nothing
    assert digests(files, home)[0] == hashlib.sha256(b"x" * 50).hexdigest()


def test_what_can_not_be_read_has_none_and_the_rest_keep_their_place(home, files):
    files[3].path.unlink()
    found = digests(files, home, workers=0)
    assert found[3] is None and all(found[place] for place in (0, 1, 2, 4))


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b""])
def test_a_damaged_memory_costs_hashing_again_and_no_more(home, files, damage):
    first = digests(files, home)
    (home.features / "digests.sqlite").write_bytes(damage)
    assert digests(files, home) == first
    assert digests(files, home) == first
    with sqlite3.connect(home.features / "digests.sqlite") as memo:
        assert memo.execute("select count(*) from seen").fetchone() == (5,)


def test_stopping_keeps_what_was_hashed(home, files, monkeypatch):
    read = spy(monkeypatch)
    asked = iter([False, False, True])
    with pytest.raises(StoppedByUser):
        digests(files, home, 1, should_stop=lambda: next(asked))
    begun = len(read)
    digests(files, home)
    assert len(read) - begun == 3


def test_members_of_a_zip_are_remembered_by_their_archive(home, tmp_path, photos, monkeypatch):
    from studio.data.files.archives import ZipSource

    photos(tmp_path / "set", {"a": 3, "b": 3})
    packed = shutil.make_archive(str(tmp_path / "photos"), "zip", tmp_path / "set")
    age(packed)
    sources = [item.source for item in open_data(f"zip:{packed}").items]
    first = digests(sources, home)
    assert len(set(first)) == 6 and None not in first
    monkeypatch.setattr(ZipSource, "digest", lambda self: pytest.fail("read again"))
    assert digests(sources, home) == first
