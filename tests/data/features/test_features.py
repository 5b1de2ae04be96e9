"""The feature cache: once through the backbone, whoever asks, whoever writes at the same time."""

import multiprocessing
import os

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from studio.core.errors import StoppedByUser, StoreError
from studio.core.home import Home
from studio.data import open_data
from studio.data.features import shards
from studio.data.features.cache import cache_folder, embed_images, extract
from studio.data.features.shards import Shards
from studio.data.items import ArraySource, FileSource
from studio.data.preprocess import Preprocess

SMALL = Preprocess(image_size=16, crop_pct=1.0)


class Counting(nn.Module):
    """A tiny frozen backbone that counts the images it has seen."""

    def __init__(self, hash="h1"):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 8, 4, 4)
        self.hash, self.preprocess, self.dim, self.seen = hash, SMALL, 8, 0

    def embed(self, images):
        self.seen += len(images)
        return self.layer(images).mean((2, 3))


def test_an_image_goes_through_once_and_copies_share_it(home):
    data = open_data("builtin:digits?per_class=3")
    twice = data.subset([*range(len(data)), 0, 1, 2])
    backbone = Counting()
    features, kept = extract(twice, backbone, home=home)
    assert backbone.seen == len({item.source.digest() for item in data.items})
    assert np.array_equal(features[-3:], features[:3]) and len(kept) == 33
    again, _ = extract(data, backbone, home=home)
    assert backbone.seen == 30 and np.array_equal(again, features[:30])
    direct = embed_images([Image.fromarray(item.source.read()).convert("RGB") for item in data.items], backbone)
    assert np.abs(direct - again).max() < 1e-5


def test_another_backbone_or_preprocessing_is_another_entry(home):
    data = open_data("builtin:digits?per_class=1")
    first, other = Counting(), Counting("h2")
    extract(data, first, home=home)
    extract(data, other, home=home)
    assert other.seen == 10
    first.preprocess = Preprocess(image_size=8, crop_pct=1.0)
    extract(data, first, home=home)
    assert first.seen == 20


def test_a_broken_image_is_dropped_by_name_and_the_rest_keep_their_place(home, tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for n in range(3):
            noise = np.random.default_rng(n + ord(label)).integers(0, 255, (20, 20, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / label / f"{n}.png")
    raw = (tmp_path / "a" / "1.png").read_bytes()
    (tmp_path / "a" / "1.png").write_bytes(raw[:200])
    data = open_data(f"folder:{tmp_path}")
    features, kept = extract(data, Counting(), home=home)
    assert [item.name for item in kept.items] == ["a/0.png", "a/2.png", "b/0.png", "b/1.png", "b/2.png"]
    assert len(features) == 5 and kept.skipped[0].name == "a/1.png" and "cut short" in kept.skipped[0].reason


def test_stopping_keeps_what_was_computed(home):
    data = open_data("builtin:digits?per_class=20")
    backbone = Counting()
    with pytest.raises(StoppedByUser, match="after 48 of 200 new images"):
        extract(data, backbone, home=home, batch_size=16, should_stop=lambda: backbone.seen >= 48)
    assert backbone.seen == 48
    extract(data, backbone, home=home)
    assert backbone.seen == 200


def test_a_damaged_shard_is_computed_again(home):
    data = open_data("builtin:digits?per_class=2")
    backbone = Counting()
    features, _ = extract(data, backbone, home=home)
    for shard in cache_folder(home, backbone, "fp32").glob("*.shard"):
        shard.write_bytes(shard.read_bytes()[:100])
    again, _ = extract(data, backbone, home=home)
    assert backbone.seen == 40 and np.array_equal(features, again)


def _write(root, number):
    data = open_data("builtin:digits?per_class=8")
    extract(data.subset(range(number * 10, 40 + number * 10)), Counting(), home=Home.find(root), batch_size=4)


def test_two_writers_at_once_leave_one_right_cache(home):
    processes = multiprocessing.get_context("spawn")
    writers = [processes.Process(target=_write, args=(str(home.root), number)) for number in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(90)
        assert writer.exitcode == 0
    backbone = Counting()
    features, kept = extract(open_data("builtin:digits?per_class=8").subset(range(50)), backbone, home=home)
    assert backbone.seen == 0 and len(features) == 50
    assert len(Shards(cache_folder(home, backbone, "fp32"))) == 50


def test_a_full_memory_makes_batches_smaller_and_changes_nothing_else(home):
    class Tight(Counting):
        def embed(self, images):
            if len(images) > 5:
                raise torch.OutOfMemoryError("out of memory")
            return super().embed(images)

    data, notes = open_data("builtin:digits?per_class=2"), []
    plain, _ = extract(data, Counting("h2"), home=home)
    tight, _ = extract(data, Tight(), home=home, batch_size=16, on_note=notes.append)
    assert np.allclose(plain, tight, atol=1e-6) and len(notes) == 2 and "4 parts" in notes[-1]


def test_progress_counts_images_and_no_workers_means_one(home):
    data, told = open_data("builtin:digits?per_class=4"), []
    extract(data.subset(range(10)), Counting(), home=home, workers=0)
    extract(data, Counting(), home=home, batch_size=16, workers=0, on_progress=lambda *seen: told.append(seen))
    assert told == [(0, 40), (16, 40), (32, 40), (40, 40)]


def test_a_disk_that_refuses_is_said_in_a_sentence(home, monkeypatch):
    def refuse(path, data):
        raise StoreError("The disk is full.")

    monkeypatch.setattr(shards, "write_atomic", refuse)
    with pytest.raises(StoreError, match="full"):
        extract(open_data("builtin:digits?per_class=1"), Counting(), home=home)


def test_no_image_gives_no_rows_of_the_right_width(home):
    features, kept = extract(open_data("builtin:digits?per_class=1").subset([]), Counting(), home=home)
    assert features.shape == (0, 8) and len(kept) == 0
    assert embed_images([], Counting()).shape == (0, 8)


def test_a_second_run_reads_no_file(home, tmp_path, photos, monkeypatch):
    spec = f"folder:{photos(tmp_path, {'a': 4, 'b': 4})}"
    for item in open_data(spec).items:
        os.utime(item.source.path, (1e9, 1e9))
    first, _ = extract(open_data(spec), Counting(), home=home)
    data = open_data(spec)
    monkeypatch.setattr(FileSource, "read", lambda self: pytest.fail("read again"))
    again, _ = extract(data, Counting(), home=home)
    assert np.array_equal(first, again)
    made = open_data("builtin:digits?per_class=1")
    extract(made, Counting(), home=home)
    monkeypatch.setattr(ArraySource, "read", lambda self: pytest.fail("read again"))
    assert len(extract(made, Counting(), home=home)[0]) == 10
