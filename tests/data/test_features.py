"""The feature cache: once through the backbone, whoever asks, whoever writes at the same time."""

import multiprocessing

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from studio.core.errors import StoppedByUser
from studio.core.home import Home
from studio.data import open_data
from studio.data.features import Cache, cache_folder, embed_images, extract
from studio.data.pixels import decode
from studio.data.preprocess import Preprocess
from studio.data.transforms import augment, normalize, to_input

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
    pixels, same = decode(data, SMALL)
    assert len(pixels) == 5 and [i.name for i in same.items] == [i.name for i in kept.items]


def test_stopping_keeps_what_was_computed(home):
    data = open_data("builtin:digits?per_class=20")
    backbone = Counting()
    asked = iter([False] * 3 + [True] * 99)
    with pytest.raises(StoppedByUser):
        extract(data, backbone, home=home, batch_size=16, should_stop=lambda: next(asked))
    stopped_at = backbone.seen
    assert 0 < stopped_at < 200
    extract(data, backbone, home=home)
    assert backbone.seen == 200


def test_a_damaged_shard_is_computed_again(home):
    data = open_data("builtin:digits?per_class=2")
    backbone = Counting()
    features, _ = extract(data, backbone, home=home)
    for shard in cache_folder(home, backbone, "fp32").glob("*.npy"):
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
    assert len(Cache(cache_folder(home, backbone, "fp32"))._rows) == 50


def test_input_matches_timm_within_rounding():
    from timm.data import create_transform

    preprocess = Preprocess(image_size=64, crop_pct=0.875)
    noise = np.random.default_rng(0).integers(0, 255, (90, 140, 3), np.uint8)
    image = Image.fromarray(noise).resize((280, 180))
    peer = create_transform(
        (3, 64, 64), interpolation="bicubic", crop_pct=0.875, mean=preprocess.mean, std=preprocess.std
    )
    ours = normalize(to_input(image, preprocess)[None], preprocess)[0]
    assert (ours - peer(image)).abs().max() < 1.01 / 255 / 0.22


def test_augmentation_is_a_function_of_its_generator():
    batch = torch.randint(0, 255, (4, 3, 20, 20), dtype=torch.uint8)
    one, two, other = (augment(batch, SMALL, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other) and one.shape == (4, 3, 16, 16)


def test_pixels_beyond_memory_go_into_a_file(home, tmp_path):
    data = open_data("builtin:digits?per_class=1")
    plain, _ = decode(data, SMALL)
    mapped, _ = decode(data, SMALL, folder=tmp_path / "px", in_memory=100)
    assert isinstance(mapped, np.memmap) and np.array_equal(plain, mapped)
