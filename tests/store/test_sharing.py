"""Object storage: whatever can be seen there is whole, nothing travels twice, and requests may fail."""

import hashlib
import random

import fsspec
import numpy as np
import pytest

from studio.core.errors import StoreError, UsageError
from studio.core.events import EventWriter
from studio.core.home import Home
from studio.core.recipe import parse
from studio.store import Manifest, Store, sharing, versions
from studio.store import bucket as buckets
from studio.store.bucket import Bucket

MANIFEST = Manifest(face="Learner", task="classify", method="finetune/full", classes=["a", "b"])


@pytest.fixture
def bucket(monkeypatch):
    """An empty bucket in memory, named by STUDIO_STORE."""
    files = fsspec.filesystem("memory")
    if files.exists("/studio"):
        files.rm("/studio", recursive=True)
    monkeypatch.setenv(sharing.VARIABLE, "memory://studio")
    monkeypatch.setattr(buckets, "PAUSE_S", 0)
    return sharing.required_bucket()


def filled(home: Home, heads: int = 3) -> Store:
    """A store of checkpoints that share a backbone."""
    store = Store(home)
    for number in range(heads):
        tensors = {"backbone.w": np.ones((8, 8), np.float32), "head.w": np.full(4, number, np.float32)}
        store.put(MANIFEST, tensors, {"note.json": b"{}"})
    return store


def failing(bucket: Bucket, share: float, cut_after: int | None = None) -> list[str]:
    """Lets this share of requests fail, and with `cut_after` everything end after so many files were sent."""
    draw, sent = random.Random(0), list[str]()

    def faulty(name):
        work = getattr(bucket._files, name)

        def call(*args, **kwargs):
            if draw.random() < share:
                raise ConnectionError("reset by peer")
            if name in ("put_file", "pipe_file"):
                if len(sent) == cut_after:
                    raise KeyboardInterrupt
                sent.append(args[-1] if name == "put_file" else args[0])
            return work(*args, **kwargs)

        return call

    class Faulty:
        def __getattr__(self, name):
            return faulty(name)

    faults = Faulty()
    names = ("ls", "cat_file", "pipe_file", "put_file", "get_file")
    for name in names:
        setattr(faults, name, faulty(name))
    bucket._files = faults
    return sent


def test_a_checkpoint_comes_back_as_it_was_and_nothing_travels_twice(home, tmp_path, bucket):
    store = filled(home)
    moved = sharing.push(store, bucket)
    assert len(moved.checkpoints) == 3 and moved.blobs == 1 + 3 + 1  # backbone, heads, note
    assert sharing.push(store, bucket) == sharing.Moved()
    other = Store(Home.find(tmp_path / "other"))
    for row in store.checkpoints():
        sharing.pull(other, bucket, row["checkpoint"])
    assert other.verify() == sharing.verify(bucket) == []
    key = moved.checkpoints[0]
    pairs = zip(*(one.checkpoint(key).tensors().items() for one in (store, other)), strict=True)
    assert all(name == again and (tensor == copy).all() for (name, tensor), (again, copy) in pairs)
    assert sharing.pull(other, bucket, key) == sharing.Moved()


@pytest.mark.parametrize("cut_after", range(0, 7, 2))
def test_a_push_that_is_cut_off_leaves_nothing_half_visible_and_the_next_moves_the_rest(home, bucket, cut_after):
    store = filled(home, heads=2)  # 4 blobs and 2 manifests
    sent = failing(bucket, 0.0, cut_after)
    if cut_after < 6:
        with pytest.raises(KeyboardInterrupt):
            sharing.push(store, bucket)
    else:
        sharing.push(store, bucket)
    again = Bucket(bucket.address)
    assert sharing.verify(again) == []
    assert len(sharing.listed(again)["checkpoints"]) == sum("/checkpoints/" in name for name in sent)
    moved = sharing.push(store, again)
    assert moved.blobs == 4 - sum("/blobs/" in name for name in sent)
    assert len(sharing.listed(again)["checkpoints"]) == 2 and sharing.verify(again) == []


def test_one_request_in_twenty_may_fail(home, tmp_path, bucket):
    store = filled(home, heads=12)
    failing(bucket, 0.05)
    assert len(sharing.push(store, bucket).checkpoints) == 12
    other = Store(Home.find(tmp_path / "other"))
    for key in sharing.listed(bucket)["checkpoints"]:
        sharing.pull(other, bucket, key)
    assert other.verify() == [] and len(other.checkpoints()) == 12


def test_a_store_that_is_down_is_told_and_nothing_is_lost(home, bucket):
    store = filled(home, 1)
    failing(bucket, 1.0)
    with pytest.raises(StoreError, match="can't be reached or read .*reset by peer.* Nothing here was lost"):
        sharing.push(store, bucket)
    assert store.verify() == []


def test_a_finished_run_comes_with_its_files_and_checkpoint_and_an_unfinished_one_stays(home, tmp_path, bucket):
    store = filled(home, 1)
    recipe = parse({"task": "classify", "method": "finetune/full", "data": {"train": "builtin:digits"}})
    waiting, done = store.new_run(recipe), store.new_run(recipe)
    with EventWriter(done.events_path) as events:
        events.emit("checkpoint", checkpoint=store.checkpoints()[0]["checkpoint"], role="final")
        events.status("finished")
    (done.path / "state").mkdir()
    (done.path / "state" / "step").write_text("1")
    (done.path / "figures").mkdir()
    (done.path / "figures" / "curve.png").write_bytes(b"png")
    assert sharing.push(store, bucket).runs == [done.id]
    with pytest.raises(UsageError, match="is queued; it is pushed once it has ended"):
        sharing.push(store, bucket, [waiting.id])
    other = Store(Home.find(tmp_path / "other"))
    moved = sharing.pull(other, bucket, done.id)
    assert moved.runs == [done.id] and len(moved.checkpoints) == 1
    copy = other.run(done.id)
    assert copy.status() == "finished" and copy.recipe() == done.recipe()
    assert (copy.path / "figures" / "curve.png").read_bytes() == b"png" and not copy.state_path.exists()


def version_of_red_and_blue(store: Store, name: str = "pets") -> versions.Facts:
    """A version of two images, one of which has a mask."""
    entries = []
    for number, content in enumerate((b"red", b"blue")):
        digests = [hashlib.sha256(data).hexdigest() for data in (content, b"mask")]
        for digest, data in zip(digests, (content, b"mask"), strict=True):
            store.blobs.path(digest).write_bytes(data)
        truth = {"label": "cat", **({"mask": digests[1]} if number else {})}
        entries.append(versions.Entry(f"{number}.png", digests[0], len(content) + 4 * number, "train", truth))
    return versions.keep(store.home, name, "folder:photos", ["cat"], ["train"], entries)


def test_a_data_version_comes_back_whole_by_itself_and_with_the_run_that_learned_from_it(home, tmp_path, bucket):
    store = filled(home, 0)
    facts = version_of_red_and_blue(store)
    recipe = parse({"task": "classify", "method": "finetune/full", "data": {"train": facts.spec}})
    run = store.new_run(recipe)
    with EventWriter(run.events_path) as events:
        events.status("finished")
    moved = sharing.push(store, bucket, [run.id])
    assert moved.versions == ["pets"] and moved.runs == [run.id] and sharing.verify(bucket) == []
    assert sharing.push(store, bucket) == sharing.Moved()
    for number, name in enumerate(("pets", run.id)):
        other = Store(Home.find(tmp_path / str(number)))
        assert sharing.pull(other, bucket, name).versions == ["pets"] and other.verify() == []
        assert versions.entries_of(other.home, "pets") == versions.entries_of(home, "pets")
        assert versions.facts_of(other.home, "pets") == facts
    versions.keep(other.home, "toys", "folder:toys", ["cat"], [], [])
    versions.delete(other.home, "pets")
    versions.keep(other.home, "pets", "folder:photos", ["cat"], [], [])
    with pytest.raises(StoreError, match="has another version pets; nothing was changed"):
        sharing.pull(other, bucket, "pets")
    with pytest.raises(StoreError, match="has another version pets; nothing was changed there"):
        sharing.push(other, bucket, ["pets"])
    lines = (home.versions / "pets.jsonl").read_text().replace(hashlib.sha256(b"red").hexdigest(), "../../outside")
    bucket.write("versions/evil.jsonl", lines.replace('"pets"', '"evil"').encode())
    with pytest.raises(StoreError, match="version evil is damaged"):
        sharing.pull(other, bucket, "evil")


def test_what_is_missing_or_cut_short_or_leads_out_is_found(home, tmp_path, bucket):
    store = filled(home, 1)
    key = sharing.push(store, bucket).checkpoints[0]
    names = sorted(bucket.sizes("blobs"))
    bucket.write(f"blobs/{names[0]}", b"cut")
    other = Store(Home.find(tmp_path / "other"))
    with pytest.raises(StoreError, match="did not arrive as it was sent"):
        sharing.pull(other, bucket, key)
    assert other.checkpoints() == []
    bucket._files.rm(f"{bucket._root}/blobs/{names[1]}")
    assert [str(problem).rpartition("blob ")[2] for problem in sharing.verify(bucket)] == [
        f"{names[1]} is missing; push it again"
    ]
    entry = {"blob": names[0], "size": 3}
    bucket.write("runs/evil.json", sharing.to_json({"files": {"../../../outside": entry}, "checkpoint": None}))
    with pytest.raises(StoreError, match="outside of its folder"):
        sharing.pull(other, bucket, "evil")
    with pytest.raises(UsageError, match="no id"):
        sharing.pull(other, bucket, "../checkpoints/x")
    with pytest.raises(UsageError, match="no checkpoint, run or version 'nothing'; it has"):
        sharing.pull(other, bucket, "nothing")


def test_without_the_variable_or_with_no_address_it_is_said(monkeypatch):
    monkeypatch.delenv(sharing.VARIABLE, raising=False)
    with pytest.raises(UsageError, match="STUDIO_STORE is not set"):
        sharing.required_bucket()
    monkeypatch.setenv(sharing.VARIABLE, "my/folder")
    with pytest.raises(StoreError, match="expected an address such as s3://"):
        sharing.required_bucket()
