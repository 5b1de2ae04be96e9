"""Shards: the same images as their folder, whatever a tar brings that it should not."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.data import open_data


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (20, 20, 3), np.uint8)).save(file, "png")
    return file.getvalue()


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


PHOTOS = {f"{label}/{number}.png": png(number + 10 * ord(label)) for label in "ab" for number in range(4)}


def contents(dataset):
    return [(item.name, dataset.classes[item.label], item.source.read()) for item in dataset.items]


def test_class_folders_in_several_shards_are_read_as_their_folder_is(tmp_path):
    for name, content in PHOTOS.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(content)
    names = list(PHOTOS)
    for number in range(2):
        write_tar(tmp_path / "tars" / f"p-{number:03d}.tar", {name: PHOTOS[name] for name in names[1 - number :: 2]})
    folder = open_data(f"folder:{tmp_path}/photos")
    for spec in (f"wds:{tmp_path}/tars", f"wds:{tmp_path}/tars/p-{{000..001}}.tar"):
        assert contents(open_data(spec)) == contents(folder)


def test_samples_name_their_class_and_shards_their_split(tmp_path):
    for split, start in (("train", 0), ("val", 4)):
        members = {}
        for number in range(4):
            members[f"{number:04d}.png"] = png(start + number)
            members[f"{number:04d}.cls"] = b"cat\n" if number % 2 else b"dog"
        members["0009.png"] = png(start + 9)
        write_tar(tmp_path / f"{split}-0.tar", members)
    data = open_data(f"wds:{tmp_path}")
    assert data.classes == ["cat", "dog"] and {name: len(rows) for name, rows in data.splits.items()} == {
        "train": 4, "val": 4,
    }  # fmt: skip
    assert data.items[0].name == "train-0/0000.png" and data.classes[data.items[0].label] == "dog"
    assert [(skip.name, skip.reason) for skip in data.skipped] == [
        (f"{split}-0/0009.png", "its sample has no .cls, or an empty one") for split in ("train", "val")
    ]


def test_a_broken_member_or_shard_costs_only_itself_and_is_named(tmp_path):
    whole = write_tar(tmp_path / "whole.tar", PHOTOS).read_bytes()
    with tarfile.open(tmp_path / "whole.tar") as tar:
        starts = {info.name: (info.offset, info.offset_data) for info in tar}
    broken = bytearray(whole)
    broken[starts["a/1.png"][0] + 10] ^= 0xFF  # its header
    broken[starts["b/1.png"][1] : starts["b/1.png"][1] + 40] = bytes(40)  # its content
    (tmp_path / "broken.tar").write_bytes(broken)
    data = open_data(f"wds:{tmp_path}/broken.tar")
    assert [item.name for item in data.items] == [name for name in PHOTOS if name not in ("a/1.png", "b/1.png")]
    reasons = {skip.name: skip.reason for skip in data.skipped}
    assert reasons["broken.tar"] == "broken.tar is damaged between a/0.png and a/2.png" and "b/1.png" in reasons
    (tmp_path / "cut.tar").write_bytes(whole[: starts["b/2.png"][1] + 100])
    data = open_data(f"wds:{tmp_path}/cut.tar")
    assert len(data) == 6 and data.skipped[-1].reason == "cut.tar is cut short in b/2.png"


@pytest.mark.parametrize("name", ["../out.png", "/etc/out.png", "a/../../out.png", "C:/out.png", "a\\..\\..\\out.png"])
def test_a_path_that_leads_out_is_refused(tmp_path, name):
    write_tar(tmp_path / "x.tar", {**PHOTOS, name: png(1)})
    with pytest.raises(DataError, match="leads out"):
        open_data(f"wds:{tmp_path}/x.tar")


def test_links_devices_and_compressed_shards_are_refused(tmp_path):
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        with tarfile.open(tmp_path / "x.tar", "w") as tar:
            info = tarfile.TarInfo("a/link.png")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        with pytest.raises(DataError, match="no plain file"):
            open_data(f"wds:{tmp_path}/x.tar")
    with tarfile.open(tmp_path / "y.tar", "w:gz") as tar:
        tar.add(__file__, "a/1.png")
    with pytest.raises(DataError, match="is compressed"):
        open_data(f"wds:{tmp_path}/y.tar")
    (tmp_path / "z.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(DataError, match="no tar file|no readable tar"):
        open_data(f"wds:{tmp_path}/z.tar")


def test_shards_that_are_not_there_are_named(tmp_path):
    with pytest.raises(DataError, match="p-001.tar"):
        write_tar(tmp_path / "p-000.tar", PHOTOS)
        open_data(f"wds:{tmp_path}/p-{{000..001}}.tar")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no .tar"):
        open_data(f"wds:{tmp_path}/empty")
