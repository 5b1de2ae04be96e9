"""Embedding a data set: one row an image in the data's order, resumable, by several processes the same."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from studio.cli import main
from studio.core.errors import UsageError
from studio.data import open_data, read_image
from studio.data.features import cache, embedding
from studio.data.features.cache import embed_images
from studio.data.features.embedding import Embedding, begin, embed_part, finish
from studio.data.items import FileSource
from studio.data.preprocess import Preprocess


class Small(nn.Module):
    """A tiny frozen backbone that counts the images it has seen."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 8, 4, 4)
        self.hash, self.preprocess, self.dim, self.seen = "h", Preprocess(image_size=16, crop_pct=1.0), 8, 0

    def embed(self, images):
        self.seen += len(images)
        return self.layer(images).mean((2, 3))


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Two classes of six photos; one is there twice, one is damaged."""
    root = tmp_path_factory.mktemp("embed") / "photos"
    for label in "ab":
        (root / label).mkdir(parents=True)
        for number in range(6):
            noise = np.random.default_rng(number + 10 * ord(label)).integers(0, 255, (5, 5, 3), np.uint8)
            Image.fromarray(noise).resize((20, 20)).save(root / label / f"{number}.png")
    (root / "b" / "5.png").write_bytes((root / "b" / "0.png").read_bytes())
    (root / "a" / "3.png").write_bytes((root / "a" / "3.png").read_bytes()[:200])
    return root


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(embedding, "SHARD_ROWS", 4)
    monkeypatch.setattr(cache, "SHARD_ROWS", 4)


def embed_here(photos, folder, home, backbone=None, images=None):
    dataset, backbone = open_data(f"folder:{photos}"), backbone or Small()
    dataset = dataset.subset(range(images or len(dataset)))
    begin(folder, dataset.spec, backbone, "small", "fp32")
    embed_part(dataset, folder, backbone, home=home)
    return dataset, backbone


def test_rows_are_those_of_the_images_in_the_order_of_the_data(photos, tmp_path, home):
    dataset, backbone = embed_here(photos, tmp_path / "out", home)
    made = finish(dataset, tmp_path / "out")
    images = list(Embedding.open(tmp_path / "out").images())
    assert [name for name, _, _ in images] == [item.name for item in dataset.items if item.name != "a/3.png"]
    assert len(made) == 11 and made.features.shape == (10, 8) and made.facts["skipped"][0][0] == "a/3.png"
    assert "cut short" in made.facts["skipped"][0][1]
    direct = embed_images([read_image(photos / name) for name, _, _ in images], backbone)
    assert np.abs(made.features[np.array([row for _, _, row in images])] - direct).max() < 1e-5
    assert [match["image"] for match in made.nearest(direct[1:2], 1)[0]] == ["a/1.png"]


def test_a_file_is_read_once_to_hash_and_to_decode_it(photos, tmp_path, home, monkeypatch):
    read, names = FileSource.read, list[str]()
    monkeypatch.setattr(FileSource, "read", lambda source: names.append(source.path.name) or read(source))
    embed_here(photos, tmp_path / "out", home)
    assert len(names) == 12


def test_what_a_killed_process_wrote_is_not_computed_again(photos, tmp_path, home):
    class Dying(Small):
        def embed(self, images):
            if self.seen >= 4:
                raise SystemExit
            return super().embed(images)

    with pytest.raises(SystemExit):
        embed_here(photos, tmp_path / "out", home, Dying())
    with pytest.raises(UsageError, match="was not finished; give the same command again"):
        Embedding.open(tmp_path / "out")
    dataset, backbone = embed_here(photos, tmp_path / "out", home)
    assert backbone.seen == 10 - 7  # two chunks were whole: three images beside the damaged one, and four
    assert len(finish(dataset, tmp_path / "out")) == 11


def test_images_that_are_new_are_added_and_the_rows_of_the_others_stay(photos, tmp_path, home):
    dataset, _ = embed_here(photos, tmp_path / "out", home, images=7)
    before = finish(dataset, tmp_path / "out")
    rows = {name: row for name, _, row in before.images()}
    dataset, backbone = embed_here(photos, tmp_path / "out", home)
    after = finish(dataset, tmp_path / "out")
    assert backbone.seen == 10 - 6 and len(before) == 6 and len(after) == 11
    assert rows.items() <= {name: row for name, _, row in after.images()}.items()


def test_a_folder_of_another_backbone_or_of_other_files_is_refused(photos, tmp_path, home):
    embed_here(photos, tmp_path / "out", home)
    other = Small()
    other.hash = "other"
    with pytest.raises(UsageError, match="another hash"):
        embed_here(photos, tmp_path / "out", home, other)
    with pytest.raises(UsageError, match="holds other files"):
        embed_here(photos, photos, home)


def embed_by_command(photos, out, capsys, *more):
    """What `launch.py embed` answers."""
    argv = [
        "embed",
        f"folder:{photos}",
        "--backbone",
        "studio/conv4",
        "--image-size",
        "16",
        "--json",
        "--out",
        str(out),
    ]
    assert main([*argv, *more]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))


def test_the_command_line_embeds_and_finds_the_nearest(photos, tmp_path, own_home, capsys):
    answer = embed_by_command(photos, tmp_path / "out", capsys)
    assert (answer["images"], answer["features"], answer["skipped"]) == (11, 10, 1)
    assert main(["nearest", str(tmp_path / "out"), str(photos / "b" / "2.png"), "--count", "2", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert rows[0]["image"] == "b/2.png" and rows[0]["distance"] < 1e-3 and rows[0]["class"] == "b"
    assert main(["embed", "folder:x", "--backbone", "studio/conv4", "--out", "y", "--processes", "0"]) == 2


@pytest.mark.slow
def test_two_processes_give_what_one_gives(photos, tmp_path, own_home, capsys):
    features = []
    for processes in ("1", "2"):
        assert embed_by_command(photos, tmp_path / processes, capsys, "--processes", processes)["images"] == 11
        made = Embedding.open(tmp_path / processes)
        features.append({name: made.features[[row]][0] for name, _, row in made.images()})
    assert features[0].keys() == features[1].keys()
    assert all(np.allclose(features[0][name], features[1][name], atol=1e-5) for name in features[0])
