"""Individuals, read from small trees in the layouts of public sets, from folders, names and tables."""

import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.data import check, open_data, read_image


def laid(root, *names):
    """Image files, each of another grey; returns the root."""
    for number, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 16), (number * 7 % 256, 40, 90)).save(file)
    return root


def who(data, split=None):
    """(identity, camera) of the items, "-" for nobody."""
    items = [data.items[i] for i in data.splits[split]] if split else data.items
    return [(data.classes[item.label] if item.label >= 0 else "-", item.camera) for item in items]


MARKET = (
    "bounding_box_train/0002_c1s1_000451_03.jpg", "bounding_box_train/0002_c2s1_000451_03.jpg",
    "query/0001_c1s1_001051_00.jpg", "bounding_box_test/0001_c3s1_001051_00.jpg",
    "bounding_box_test/0000_c3s1_000001_00.jpg", "bounding_box_test/-1_c3s1_000002_00.jpg",
)  # fmt: skip


def test_market_leaves_junk_out_and_keeps_distractors_as_nobody(tmp_path):
    data = open_data(f"reid:{laid(tmp_path, *MARKET)}")
    assert data.truth == "identities" and data.classes == ["0001", "0002"]
    assert who(data, "train") == [("0002", "1"), ("0002", "2")] and who(data, "query") == [("0001", "1")]
    assert sorted(who(data, "gallery")) == [("-", "3"), ("0001", "3")]
    assert any("1 junk" in remark for remark in data.remarks)
    assert any("12,936 of 751" in remark for remark in data.remarks)  # the whole set has more
    assert open_data(f"reid:{tmp_path}?layout=market1501").classes == data.classes
    assert sum(check(f"reid:{tmp_path}").classes.values()) == 4


@pytest.mark.parametrize("top", ["", "Market-1501-v15.09.15/"])
def test_the_zip_of_a_public_set_is_recognised_as_individuals(tmp_path, top):
    laid(tmp_path / "a", *MARKET)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for name in MARKET:
            packed.write(tmp_path / "a" / name, f"{top}{name}")
        packed.writestr("__MACOSX/._a", b"")
    report = check(f"zip:{tmp_path / 'a.zip'}")
    assert report.truth == "identities" and set(report.classes) == {"0001", "0002"}
    assert sorted(who(open_data(f"reid:{tmp_path / 'a.zip'}"), "gallery")) == [("-", "3"), ("0001", "3")]


def test_duke_is_read_with_the_sentence_that_it_was_withdrawn(tmp_path):
    names = ("bounding_box_train/0005_c2_f0046985.jpg", "query/0001_c2_f01.jpg", "bounding_box_test/0001_c5_f02.jpg")
    data = open_data(f"reid:{laid(tmp_path, *names)}?layout=dukemtmc")
    assert "withdrawn" in data.remarks[0] and "2019" in data.remarks[0] and who(data, "query") == [("0001", "2")]


def test_veri_viper_and_pku_by_their_names(tmp_path):
    veri = laid(
        tmp_path / "a", "image_train/0001_c001_00016450_0.jpg", "image_query/0002_c002_00030600_0.jpg",
        "image_test/0002_c003_00030670_1.jpg",
    )  # fmt: skip
    assert who(open_data(f"reid:{veri}"), "gallery") == [("0002", "3")]
    viper = open_data(f"reid:{laid(tmp_path / 'b', 'cam_a/000_45.bmp', 'cam_b/000_90.bmp', 'cam_b/001_0.bmp')}")
    assert who(viper) == [("000", "a"), ("000", "b"), ("001", "b")] and not viper.splits
    pku = open_data(f"reid:{laid(tmp_path / 'c', '001/1_3.png', '001/2_3.png')}?layout=pku")
    assert who(pku) == [("001", "1"), ("001", "2")]


def test_msmt_is_divided_by_its_lists(tmp_path):
    name = "0000/0000_000_01_0303morning_0008_0.jpg"
    other = "0000/0000_001_04_0303noon_0008_1.jpg"
    laid(tmp_path, f"train/{name}", f"train/{other}", f"test/{name}", f"test/{other}")
    lists = {"train": name, "val": other, "query": name, "gallery": other}
    for split, line in lists.items():
        (tmp_path / f"list_{split}.txt").write_text(f"{line} 0\n")
    data = open_data(f"reid:{tmp_path}")
    assert who(data, "train") == [("0000", "1"), ("0000", "4")]
    assert who(data, "query") == [("test-0000", "1")] and who(data, "gallery") == [("test-0000", "4")]
    (tmp_path / "list_gallery.txt").write_text("../../etc/0_0_0_passwd 0\n")
    with pytest.raises(DataError, match=r"list_gallery.txt.*is not like"):
        open_data(f"reid:{tmp_path}")


def test_cuhk03_follows_the_lists_of_the_new_protocol_or_draws(tmp_path):
    from scipy.io import savemat

    names = ["1_001_1_01", "1_001_2_06", "2_001_1_01", "2_001_2_06"]
    laid(tmp_path, *(f"images_detected/{name}.png" for name in names))
    files = np.array([f"{name}.png" for name in names], dtype=object)[:, None]
    rows = {"train_idx": [1, 2], "query_idx": [3], "gallery_idx": [4]}
    savemat(tmp_path / "cuhk03_new_protocol_config_detected.mat", {"filelist": files, **rows})
    data = open_data(f"reid:{tmp_path}")
    assert who(data, "train") == [("1_001", "1"), ("1_001", "2")] and who(data, "query") == [("2_001", "1")]
    classic = open_data(f"reid:{tmp_path}?protocol=classic")
    assert not classic.splits and len(classic) == 4 and "eval.splits=20" in classic.remarks[0]
    with pytest.raises(DataError, match=r"images_labeled holds no images"):
        open_data(f"reid:{tmp_path}?layout=cuhk03&boxes=labeled")
    with pytest.raises(DataError, match="neither new nor classic"):
        open_data(f"reid:{tmp_path}?protocol=old")


def write_cuhk03(path, h5py):
    """Its file with one person of two images, one of each camera; the first is given back, [H, W, 3]."""
    draw = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        image = file.create_dataset("one", data=draw.integers(0, 255, (3, 6, 9), np.uint8))
        other = file.create_dataset("two", data=draw.integers(0, 255, (3, 6, 9), np.uint8))
        empty = file.create_dataset("none", data=np.zeros(2, np.uint64).reshape(1, 2))
        cells = np.array([[cell.ref] for cell in (image, *[empty] * 4, other, *[empty] * 4)], dtype=h5py.ref_dtype)
        people = file.create_dataset("people", data=cells, dtype=h5py.ref_dtype)  # [images, persons]
        for boxes in ("detected", "labeled"):
            file.create_dataset(boxes, data=np.array([[people.ref]], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)
        return image[()].transpose(2, 1, 0)


def test_the_file_of_cuhk03_is_read_as_it_is_handed_out_and_nothing_outside_of_it(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    expected = write_cuhk03(tmp_path / "cuhk-03.mat", h5py)
    data = open_data(f"reid:{tmp_path}?boxes=labeled&protocol=classic")
    assert who(data) == [("1_001", "1"), ("1_001", "2")] and data.items[1].name == "images_labeled/1_001_2_06.png"
    assert np.array_equal(np.asarray(read_image(data.items[0].source)), expected)
    (tmp_path / "secret").write_bytes(b"\x07" * 162)
    (tmp_path / "b").mkdir()
    with h5py.File(tmp_path / "b" / "cuhk-03.mat", "w") as file:
        outside = [(str(tmp_path / "secret"), 0, 162)]
        image = file.create_dataset("one", shape=(3, 6, 9), dtype=np.uint8, external=outside)
        people = file.create_dataset("people", data=np.array([[image.ref]], dtype=h5py.ref_dtype))
        file.create_dataset("detected", data=np.array([[people.ref]], dtype=h5py.ref_dtype))
    with pytest.raises(DataError, match="lie in the file itself"):
        read_image(open_data(f"reid:{tmp_path / 'b'}?protocol=classic").items[0].source)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match="pip install h5py"):
        open_data(f"reid:{tmp_path}?protocol=classic")


def test_folders_with_cameras_without_and_divided_also_in_a_zip(tmp_path):
    plain = open_data(f"reid:{laid(tmp_path / 'a', 'berta/1.jpg', 'berta/2.jpg', 'emma/1.jpg')}")
    assert who(plain) == [("berta", ""), ("berta", ""), ("emma", "")] and plain.identified
    cameras = laid(tmp_path / "b", "berta/barn/1.jpg", "berta/field/1.jpg", "emma/2.jpg", "loose.jpg")
    data = open_data(f"reid:{cameras}")
    assert who(data) == [("berta", "barn"), ("berta", "field"), ("emma", "")]
    assert any("1 of 3" in remark for remark in data.remarks) and any("loose.jpg" in r for r in data.remarks)
    laid(tmp_path / "c", "train/berta/1.jpg", "query/emma/a/1.jpg", "gallery/emma/b/1.jpg")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as packed:
        for file in sorted((tmp_path / "c").rglob("*.jpg")):
            packed.write(file, file.relative_to(tmp_path / "c").as_posix())
    zipped = open_data(f"reid:{tmp_path / 'c.zip'}")
    assert who(zipped, "query") == [("emma", "a")] and who(zipped, "gallery") == [("emma", "b")]


def test_names_by_a_pattern(tmp_path):
    laid(tmp_path, "s07_c2_0001.jpg", "s07_c1_0003.jpg", "s11_c1_0001.jpg", "notes.jpg")
    data = open_data(f"reid:{tmp_path}?names={{identity}}_c{{camera}}_{{}}")
    assert who(data) == [("s07", "1"), ("s07", "2"), ("s11", "1")] and "notes.jpg" in data.remarks[0]
    for names in ("c{camera}", "{identity}_{identity}", "{identity}_{colour}"):
        with pytest.raises(DataError, match="expected a pattern with"):
            open_data(f"reid:{tmp_path}?names={names}")
    with pytest.raises(DataError, match="no name of 4 images follows"):
        open_data(f"reid:{tmp_path}?names={{identity}}x{{camera}}y")


def test_a_table_names_images_individuals_and_cameras(tmp_path):
    laid(tmp_path, "photos/1.jpg", "photos/2.jpg", "photos/3.jpg")
    table = tmp_path / "seals.csv"
    table.write_text("Image,Individual,Camera,Split\n1.jpg,007,north,query\n2.jpg,007,south,test\n9.jpg,8,,train\n")
    data = open_data(f"reid:{table}?images={tmp_path / 'photos'}")
    assert who(data, "query") == [("007", "north")] and who(data, "gallery") == [("007", "south")]
    assert [skip.name for skip in data.skipped] == ["seals.csv, line 4"]
    table.write_text("photo,weight\n1.jpg,3\n")
    with pytest.raises(DataError, match="expected a heading with an image and an individual"):
        open_data(f"reid:{table}")


def test_individuals_of_two_sets_stay_apart_though_they_are_numbered_alike(tmp_path):
    for place in ("here", "there"):
        laid(tmp_path / place, "001/a/1.jpg", "001/2.jpg")
    data = open_data(f"reid:{tmp_path / 'here'}, reid:{tmp_path / 'there'}")
    assert data.classes == ["here/001", "there/001"] and data.labels.tolist() == [0, 0, 1, 1]
    assert {item.camera for item in data.items} == {"here/a", "there/a", ""}


@pytest.mark.parametrize(
    ("files", "spec", "words"),
    [
        ((), "reid:{}/none", "There is no folder or file"),
        (("1.jpg",), "reid:{}", "in no folder of an individual"),
        (("query/1.jpg",), "reid:{}?layout=market1501", "bounding_box_train, bounding_box_test is not there"),
        (("a/1.jpg",), "reid:{}?layout=market", "there is no layout 'market'. Did you mean 'market1501'"),
        (("a/1.jpg",), "reid:{}?boxes=labeled", "says nothing of the layout folders"),
        (("a/1.jpg",), "reid:{}?layout=folders&names={{identity}}", "both say how files are named"),
        (("a/b.jpg",), "reid:{}?layout=pku", "is not like 001/1_3.png"),
    ],
)
def test_what_is_not_there_or_does_not_fit_is_said_in_a_sentence(tmp_path, files, spec, words):
    laid(tmp_path, *files)
    with pytest.raises(DataError) as error:
        open_data(spec.format(tmp_path))
    assert words in str(error.value)
