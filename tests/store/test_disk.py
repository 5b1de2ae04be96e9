"""A disk that is full or not to be written: a sentence, nothing lost, nothing left lying about."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from studio.core.errors import StoreError
from studio.core.events import EventWriter
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.store import Manifest, Store
from studio.store.files import TEMP
from studio.store.state import load_state, save_state

ROOT = Path(__file__).resolve().parents[2]


def put(store, size):
    manifest = Manifest(face="Learner", task="classify", method="finetune/full")
    return store.put(manifest, {"head.w": torch.rand(size, dtype=torch.float64)})


def leftovers(home):
    return [path for path in home.root.rglob(f"{TEMP}*")]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EROFS, "Make it writable"),
        (errno.EACCES, "Make it writable"),
        (errno.EIO, "can't be written"),
    ],
)
def test_whatever_the_disk_refuses_is_a_sentence_and_leaves_no_trace(store, home, monkeypatch, code, words):
    good = put(store, 10)
    store.tag(good.id, "best")
    run = store.new_run(Recipe())
    save_state(run.state_path, {"step": 1})

    def refuse(handle):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    for write in (
        lambda: put(store, 20),
        lambda: store.new_run(Recipe()),
        lambda: save_state(run.state_path, {"step": 2}),
        lambda: store.tag(good.id, "worst"),
        lambda: store.export(good.id, home.root.parent / "out"),
        lambda: run.request_stop(),
    ):
        with pytest.raises(StoreError, match=words) as caught:
            write()
        assert "lost" in str(caught.value)
    monkeypatch.undo()
    assert list((home.root.parent / "out").iterdir()) == []
    assert leftovers(home) == [] and store.verify() == []
    assert store.tags() == {"best": good.id} and load_state(run.state_path) == {"step": 1} and len(store.runs()) == 1


@pytest.mark.skipif(os.name == "nt", reason="there are no file size limits here")
def test_a_file_that_may_not_grow_leaves_the_store_as_it_was(home):
    code = (
        "import resource, sys; sys.path.insert(0, sys.argv[2]); from test_disk import *\n"
        "store = Store(Home.find(sys.argv[1])); good = put(store, 1000)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try: put(store, 100_000)\n"
        "except StoreError as error: print(error)"
    )
    argv = [sys.executable, "-c", code, str(home.root), str(Path(__file__).parent)]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert "can't be written (File too large); nothing stored before was lost" in done.stdout, done.stderr
    assert leftovers(home) == [] and Store(home).verify() == [] and len(Store(home).checkpoints()) == 1


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of one megabyte. Making one takes Linux and root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    argv = [mount or "mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if not mount or not sys.platform.startswith("linux") or subprocess.run(argv, capture_output=True).returncode:
        pytest.skip("no tiny disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_stops_the_next_write_and_nothing_else(tiny_disk):
    store = Store(Home.find(tiny_disk / "home"))
    run = store.new_run(Recipe())
    kept = []
    with pytest.raises(StoreError, match=f"The disk holding .*{tiny_disk.name}.* is full"):
        for _ in range(100):
            kept.append(put(store, 5000))
    (tiny_disk / "ballast").write_bytes(b"")
    with open(tiny_disk / "ballast", "ab", buffering=0) as file, pytest.raises(OSError, match="space"):
        while True:
            file.write(b"x" * 4096)
    for write in (
        lambda: put(store, 10),
        lambda: store.new_run(Recipe()),
        lambda: save_state(run.state_path, {"w": torch.rand(5000)}),
    ):
        with pytest.raises(StoreError, match="is full"):
            write()
    assert leftovers(store.home) == [] and store.verify() == [] and len(store.checkpoints()) == len(kept) > 10
    assert len(store.runs()) == 1
    (tiny_disk / "ballast").unlink()
    store.delete(kept[0].id)
    store.gc()
    assert put(store, 5000).tensors()["head.w"].shape == (5000,)


def test_a_disk_that_turns_read_only_is_read_on(tiny_disk):
    store = Store(Home.find(tiny_disk / "home"))
    kept, dead, run = put(store, 10), store.new_run(Recipe()), store.new_run(Recipe())
    with dead.hold(), EventWriter(dead.events_path) as events:
        events.status("running")
    store.checkpoints()
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(StoreError, match="Make it writable"):
        put(store, 20)
    with pytest.raises(StoreError, match="Make it writable"):
        store.new_run(Recipe())
    assert store.checkpoint(kept.id).tensors()["head.w"].shape == (10,) and store.verify() == []
    assert [(row["run"], row["status"]) for row in store.runs()] == [(run.id, "queued"), (dead.id, "failed")]
    assert store.checkpoints()[0]["checkpoint"] == kept.id
