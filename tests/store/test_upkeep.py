"""Verify finds what was changed, gc removes only what nothing needs, the index may be lost at any time."""

import json
import os
import random
import sqlite3
import time

import pytest
import torch

from studio.core.errors import StoreError
from studio.core.events import EventWriter
from studio.core.recipe import Recipe
from studio.store import Store


def flip_bit(path, at=-1):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_store_as_it_was_written_has_no_problems(store, put):
    store.tag(put(files={"a.txt": b"a"}).id, "best")
    store.new_run(Recipe())
    assert store.verify() == []


@pytest.mark.parametrize("at", [0, 8, 40, -1])
def test_verify_finds_a_flipped_bit_anywhere_in_a_blob(store, put, at):
    damaged, whole = put(), put(backbone=torch.zeros(2))
    blob = damaged.manifest.tensors["backbone.weight"].blob
    flip_bit(store.blobs.path(blob), at)
    (problem,) = store.verify()
    assert problem.where == damaged.id and blob in str(problem) and "damaged" in str(problem)
    assert store.verify(whole.id) == [] and len(store.verify(damaged.id)) == 1


def test_verify_names_what_is_missing_or_mixed_up(store, put):
    first, second, third = put(), put(), put()
    store.tag(third.id, "best")
    store.blobs.path(first.manifest.tensors["head.weight"].blob).unlink()
    second.path.write_text(second.path.read_text().replace('"head.weight"', '"head.other"'))
    os.replace(third.path, third.path.with_name("renamed-1.json"))
    texts = {problem.where: str(problem) for problem in store.verify()}
    assert texts.keys() == {first.id, second.id, "renamed-1", "best"}
    assert "missing" in texts[first.id] and "head.other" in texts[second.id] and third.id in texts["renamed-1"]


def test_gc_removes_what_nothing_refers_to_and_keeps_the_rest(store, put):
    shared = torch.randn(100)
    kept, gone = put(backbone=shared, files={"a.txt": b"a"}), put(backbone=shared)
    store.delete(gone.id)
    for folder in (store.home.blobs, store.home.checkpoints, store.home.root):
        (folder / ".tmp-0123-x").write_bytes(b"cut short")
    orphan = gone.manifest.tensors["head.weight"].blob
    expected = {orphan, ".tmp-0123-x"}
    dry = store.gc(dry_run=True)
    assert set(dry["removed"]) == expected and store.blobs.path(orphan).exists()
    size = store.blobs.path(orphan).stat().st_size + 3 * len(b"cut short")
    assert store.gc() == {**dry, "dry_run": False} and dry["bytes"] == size
    assert store.gc()["removed"] == [] and store.verify() == []
    assert kept.tensors()["backbone.weight"].equal(shared) and kept.file("a.txt") == b"a"


def test_gc_leaves_a_run_that_is_being_made_and_takes_one_that_was_given_up(store):
    fresh, old = store.home.runs / ".tmp-1-run", store.home.uploads / ".tmp-2-import"
    for folder in (fresh, old):
        folder.mkdir()
        (folder / "recipe.yaml").write_text("task: classify\n")
    for path in (old / "recipe.yaml", old):
        os.utime(path, (time.time() - 2 * 86400,) * 2)
    assert store.gc()["removed"] == [old.name] and fresh.exists() and store.runs() == []


@pytest.mark.parametrize("content", ["", '{"id": ', "[]", '{"tensors": {"a": 1}, "files": {}}'])
def test_gc_removes_nothing_while_a_manifest_can_not_be_read(store, put, content):
    bad, gone = put(), put()
    store.delete(gone.id)
    bad.path.write_text(content)
    before = set(store.home.blobs.iterdir())
    with pytest.raises(StoreError, match="Nothing was removed"):
        store.gc()
    assert set(store.home.blobs.iterdir()) == before


def test_gc_in_another_process_never_takes_a_blob_that_is_being_put(store, put, start):
    collector = start("while True: store.gc()")
    for _ in range(60):
        put(backbone=torch.randn(10))
    assert collector.poll() is None
    assert len(store.checkpoints()) == 60 and store.verify() == []


def lists(store):
    return store.runs(), store.checkpoints()


def filled(store, put):
    for i in range(5):
        run = store.new_run(Recipe(name=f"run {i}"))
        with EventWriter(run.events_path) as events:
            events.emit("metrics", metrics={"accuracy": i / 5})
            events.status("finished", seconds=i)
        put(metrics={"accuracy": i / 5}, lineage={"run": run.id})
    return lists(store)


def test_the_index_saves_reading_and_follows_every_change(store, put, monkeypatch):
    truth = filled(store, put)
    for reader in ("studio.store.runs.RunFolder.summary", "studio.store.store.Store._row"):
        monkeypatch.setattr(reader, lambda *args: pytest.fail("read again"))
    assert lists(store) == truth
    monkeypatch.undo()
    run = store.run("last")
    with EventWriter(run.events_path) as events:
        events.status("failed")
    store.delete(truth[1][0]["checkpoint"])
    assert store.runs()[0]["status"] == "failed" and store.checkpoints() == truth[1][1:]
    with sqlite3.connect(store.home.index) as base:
        base.execute("PRAGMA wal_checkpoint")
        put()
        store.checkpoints()
        assert base.execute("SELECT count(*) FROM rows WHERE kind = 'checkpoint'").fetchone() == (5,)
    base.close()


def test_the_index_can_be_deleted(store, put):
    truth = filled(store, put)
    for path in store.home.root.glob("index.sqlite*"):
        path.unlink()
    assert lists(store) == truth and store.home.index.exists()


@pytest.mark.parametrize("garbage", [b"", b"not a database", b"SQLite format 3\0" + b"x" * 5000])
def test_an_index_of_garbage_is_made_anew(store, put, garbage):
    truth = filled(store, put)
    for path in store.home.root.glob("index.sqlite*"):
        path.unlink()
    store.home.index.write_bytes(garbage)
    assert lists(store) == truth == lists(store)
    with sqlite3.connect(store.home.index) as base:
        assert base.execute("SELECT count(*) FROM rows").fetchone() == (10,)
    base.close()


def test_an_index_with_other_tables_is_made_anew(store, put):
    truth = filled(store, put)
    with sqlite3.connect(store.home.index) as base:
        base.execute("DROP TABLE rows")
        base.execute("CREATE TABLE rows (other)")
    base.close()
    assert lists(store) == truth == lists(store)


def test_an_index_with_flipped_bits_never_changes_an_answer(store, put):
    truth = filled(store, put)
    draw = random.Random(0)
    for _ in range(60):
        with sqlite3.connect(store.home.index) as base:
            base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.close()
        data = bytearray(store.home.index.read_bytes())
        for _ in range(20):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        store.home.index.write_bytes(data)
        assert json.dumps(lists(store)) == json.dumps(truth)


def test_an_index_that_can_not_be_opened_is_done_without(store, put):
    truth = filled(store, put)
    for path in store.home.root.glob("index.sqlite*"):
        path.unlink()
    store.home.index.mkdir()
    assert lists(store) == truth


def test_two_processes_list_and_put_at_once(store, put, start):
    other = start("for _ in range(25): store.new_run(Recipe()); store.runs(); store.checkpoints()")
    for _ in range(25):
        put()
        store.runs(), store.checkpoints()
    assert other.wait() == 0
    assert len(store.runs()) == 25 and len(store.checkpoints()) == 25 and store.verify() == []
    assert lists(store) == lists(Store(store.home))
