"""Zips from outside: nothing climbs out, nothing explodes, nothing is unpacked to disk."""

import os
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from studio.core.errors import DataError
from studio.data import open_data, read_image
from studio.data.files.limits import Limits


@pytest.fixture
def make(tmp_path, draw, encode):
    """`make({name: content})` writes a zip and returns its spec; None stands for a photo."""

    def write(members: dict[str, bytes | None], compression: int = zipfile.ZIP_DEFLATED) -> str:
        with zipfile.ZipFile(tmp_path / "a.zip", "w", compression) as archive:
            for number, (name, content) in enumerate(members.items()):
                archive.writestr(name, encode(draw(number)) if content is None else content)
        return f"zip:{tmp_path / 'a.zip'}"

    return write


@pytest.mark.parametrize(
    "name", ("../../evil.jpg", "cat/../../evil.jpg", "/etc/evil.jpg", "C:/evil.jpg", "..\\evil.jpg", "\\\\host\\a.jpg")
)
def test_a_zip_that_climbs_out_is_refused_and_writes_nothing(make, tmp_path, name):
    spec = make({"cat/1.jpg": None, "dog/1.jpg": None, name: None})
    with pytest.raises(DataError, match="leads out of the archive"):
        open_data(spec)
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


def test_links_are_refused(make, tmp_path):
    link = zipfile.ZipInfo("cat/passwords.jpg")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="link 'cat/passwords.jpg'"):
        open_data(f"zip:{tmp_path / 'a.zip'}")


def test_encrypted_archives_are_refused(make, tmp_path):
    spec = make({"cat/1.jpg": None})
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + offset] |= 1
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(DataError, match="encrypted.*without a password"):
        open_data(spec)


def test_a_bomb_by_ratio_is_refused_before_anything_is_read(make):
    spec = make({"cat/1.jpg": bytes(64 * 2**20)})
    with pytest.raises(DataError, match=r"0\.06 MB to 64 MB.*zip bomb"):
        open_data(spec)


def test_a_bomb_by_size_or_by_number_is_refused(make):
    spec = make({f"cat/{number}.jpg": None for number in range(20)})
    with pytest.raises(DataError, match="20 files, more than the 10 allowed"):
        open_data(spec, Limits(members=10))
    with pytest.raises(DataError, match="more than the 0.0 GB allowed"):
        open_data(spec, Limits(unpacked_bytes=5000))


def test_a_bomb_that_lies_about_its_size_stays_within_what_it_claims(make, tmp_path):
    spec = make({"cat/1.jpg": None, "cat/2.jpg": bytes(8 * 2**20), "dog/1.jpg": None})
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    size = (8 * 2**20).to_bytes(4, "little")
    assert raw.count(size) == 2
    (tmp_path / "a.zip").write_bytes(raw.replace(size, (1000).to_bytes(4, "little")))
    found = open_data(spec)
    assert len(found) == 2 and [skip.name for skip in found.skipped] == ["cat/2.jpg"]


def test_blank_images_that_pack_well_are_no_bomb(make, draw, encode):
    blank = encode(draw().resize((1000, 800)).point(lambda _: 255), "BMP")  # 2.4 MB to a few kB
    assert len(open_data(make({"cat/1.bmp": blank, "dog/1.bmp": blank}))) == 2


def test_a_member_that_is_too_large_for_a_image_is_named_and_left_out(make, draw, encode):
    spec = make({"cat/1.jpg": None, "dog/1.jpg": None, "dog/big.bmp": encode(draw(size=(300, 300)), "BMP")})
    (skip,) = open_data(spec, Limits(file_bytes=100_000)).skipped
    assert skip.name == "dog/big.bmp" and "MB allowed" in skip.reason


def test_a_damaged_member_is_named_and_left_out(make, tmp_path):
    spec = make({"cat/1.jpg": None, "dog/1.jpg": None}, zipfile.ZIP_STORED)
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    raw[raw.index(b"dog/1.jpg") + 300] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(raw)
    (skip,) = open_data(spec).skipped[:1]
    assert skip.name == "dog/1.jpg" and "damaged in the zip" in skip.reason


@pytest.mark.parametrize("content", (b"", b"no zip at all", b"PK\x05\x06" + bytes(10)))
def test_what_is_no_zip_is_said_to_be_none(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match="a.zip is no readable zip file"):
        open_data(f"zip:{tmp_path / 'a.zip'}")


def test_a_zip_cut_short_is_said_to_be_damaged(make, tmp_path):
    spec = make({"cat/1.jpg": None, "dog/1.jpg": None})
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:-40])
    with pytest.raises(DataError, match="no readable zip"):
        open_data(spec)


@pytest.mark.parametrize(("encoding", "marked"), (("utf-8", True), ("utf-8", False), ("gbk", False)))
def test_class_names_in_chinese_survive_macos_and_windows(tmp_path, draw, encode, encoding, marked):
    names = {"猫/照片1.jpg": "x", "狗/照片1.jpg": "y"}
    stand_ins = {name: name if marked else letter * len(name.encode(encoding)) for name, letter in names.items()}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number, stand_in in enumerate(stand_ins.values()):
            archive.writestr(stand_in, encode(draw(number)))
    content = (tmp_path / "a.zip").read_bytes()
    for name, stand_in in stand_ins.items() if not marked else ():  # as archivers write that don't say in what encoding
        content = content.replace(stand_in.encode(), name.encode(encoding))
    (tmp_path / "a.zip").write_bytes(content)
    assert open_data(f"zip:{tmp_path / 'a.zip'}").classes == ["狗", "猫"]


def test_old_western_names_stay_western(tmp_path, draw, encode):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cafxs/1.jpg", encode(draw(1)))
        archive.writestr("dog/1.jpg", encode(draw(2)))
    content = (tmp_path / "a.zip").read_bytes().replace(b"cafxs", "cafés".encode("cp437"))  # valid GBK too
    (tmp_path / "a.zip").write_bytes(content)
    assert open_data(f"zip:{tmp_path / 'a.zip'}").classes == ["cafés", "dog"]


def test_backslashes_of_windows_archivers_are_folders(tmp_path, draw, encode):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("catx1.jpg", encode(draw(1)))
        archive.writestr("dogx1.jpg", encode(draw(2)))
    content = (tmp_path / "a.zip").read_bytes().replace(b"catx", b"cat\\").replace(b"dogx", b"dog\\")
    (tmp_path / "a.zip").write_bytes(content)
    found = open_data(f"zip:{tmp_path / 'a.zip'}")
    assert found.classes == ["cat", "dog"] and read_image(found.items[0].source).size == (64, 48)


def test_threads_may_read_one_zip_at_once(make):
    found = open_data(make({f"{name}/{number}.jpg": None for name in ("cat", "dog") for number in range(40)}))
    alone = [item.source.digest() for item in found.items]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(lambda item: item.source.digest(), found.items)) == alone


def test_nothing_is_written_beside_the_zip(make, tmp_path):
    found = open_data(make({"cat/1.jpg": None, "dog/1.jpg": None}))
    for item in found.items:
        read_image(item.source)
    assert os.listdir(tmp_path) == ["a.zip"] and Path(tmp_path / "a.zip").is_file()
