"""Data specs: which words mean what, what several joined by commas become, and what is said of wrong ones."""

import numpy as np
import pytest

from studio.core.errors import DataError, UsageError
from studio.data import open_data
from studio.data.specs import parse, schemes


def test_a_kind_of_data_is_a_file_in_readers():
    images = {"builtin", "colored", "folder", "hf", "list", "mat", "npz", "omniglot", "rotated", "torchvision", "zip"}
    masks = {"acdc", "ade20k", "bdd100k", "camvid", "cityscapes", "darkzurich", "gta5", "masks", "synthia"}
    looks = {"frames", "images", "pairs"}
    domains = {"office31", "officehome", "visda2017", "domainnet", "pacs", "vlcs", "terraincognita", "cifar10c"}
    boxes = {"coco", "csv", "cvat", "labelme", "labelstudio", "via", "voc", "yolo"}
    assert schemes() == images | looks | masks | domains | boxes | {"labels", "reid", "version", "wds"}


def test_options_follow_a_question_mark_and_may_hold_plus_signs_and_spaces():
    (spec,) = parse("list:a b.txt?root=/data/c++&x=1%262")
    assert (spec.scheme, spec.rest, spec.options) == ("list", "a b.txt", {"root": "/data/c++", "x": "1&2"})


def test_a_part_without_a_scheme_has_that_of_the_first():
    assert [(part.scheme, part.rest) for part in parse("folder:a, b,zip:c.zip,C:\\d")] == [
        ("folder", "a"), ("folder", "b"), ("zip", "c.zip"), ("folder", "C:\\d")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("foldr:photos", "no kind of data 'foldr'. Did you mean 'folder'?"),
        ("coco", "Write folder:coco"),
        ("photos", "Write folder:photos"),
        ("./my:photos", "Write folder:./my:photos"),
        ("C:\\photos", "Write folder:C:\\photos"),
        ("photos.zip", "Write zip:photos.zip"),
        ("amazon.mat", "Write mat:amazon.mat"),
        ("split.csv", "Write list:split.csv"),
        ("folder:", "lacks a name or path"),
        ("", "the spec is empty"),
        (" , ", "the spec is empty"),
        ("folder:photos?colour=red", "unknown option 'colour'. Known: annotations, boxes"),
        ("mat:a.mat?X=fts", "unknown option 'X'. Known: x, y."),
        ("builtin:digit", "Did you mean 'digits'?"),
        ("builtin:digits?classes=2", "no option 'classes'"),
    ],
)
def test_a_wrong_spec_is_answered_with_the_right_one(spec, words):
    with pytest.raises(DataError) as error:
        open_data(spec)
    assert words in str(error.value) and isinstance(error.value, UsageError) and error.value.exit_code == 2


def test_joined_folders_become_domains_with_classes_merged_by_name(photos, tmp_path):
    root = photos(tmp_path / "p", {"photo/cat": 1, "photo/dog": 1, "sketch/dog": 2, "sketch/emu": 1})
    (root / "sketch" / "dog" / "bad.jpg").touch()
    found = open_data(f"folder:{root / 'photo'},{root / 'sketch'}")
    assert found.classes == ["cat", "dog", "emu"] and found.labels.tolist() == [0, 1, 1, 1, 2]
    assert [item.domain for item in found.items] == ["photo", "photo", "sketch", "sketch", "sketch"]
    assert found.items[2].name == "sketch/dog/0.jpg" and found.skipped[0].name == "sketch/dog/bad.jpg"


def test_domains_of_one_name_are_told_apart_by_the_folders_above(photos, tmp_path):
    root = photos(tmp_path / "p", {"a/real/cat": 1, "a/real/dog": 1, "b/real/cat": 1, "b/real/dog": 1})
    found = open_data(f"folder:{root}/a/real/,folder:{root}/b/real")
    assert sorted({item.domain for item in found.items}) == ["a/real", "b/real"]
    assert len({item.name for item in found.items}) == 4


def test_joined_folders_keep_their_splits_and_an_undivided_one_is_train(photos, tmp_path):
    root = photos(tmp_path / "p", {"a/train/cat": 2, "a/val/cat": 1, "b/cat": 1, "b/dog": 1})
    found = open_data(f"folder:{root}/a,{root}/b")
    names = {split: [item.name for item in found.part(split).items] for split in found.splits}
    assert names == {"train": ["a/train/cat/0.jpg", "a/train/cat/1.jpg", "b/cat/0.jpg", "b/dog/0.jpg"],
                     "val": ["a/val/cat/0.jpg"]}  # fmt: skip


def test_domains_that_a_set_has_of_itself_stay():
    two = "builtin:glyphs?classes=2&per_class=2&domain"
    found = open_data(f"{two}=serif,{two}=mono")
    assert {item.domain for item in found.items} == {"serif", "mono"} and len(found.classes) == 2


def test_joined_feature_files_keep_the_domain_of_each_row(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)), y=np.array(["cat", "dog"]))
    np.savez(tmp_path / "b.npz", x=np.ones((3, 3)), y=np.array(["dog", "emu", "dog"]))
    found = open_data(f"npz:{tmp_path}/a.npz,{tmp_path}/b.npz")
    assert found.classes == ["cat", "dog", "emu"] and found.y.tolist() == [0, 1, 1, 2, 1]
    assert found.domains.tolist() == ["a", "a", "b", "b", "b"] and found.x[:, 0].tolist() == [0, 0, 1, 1, 1]


def test_what_does_not_fit_together_is_not_joined(photos, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)))
    np.savez(tmp_path / "b.npz", x=np.zeros((2, 4)))
    with pytest.raises(DataError, match=r"different length: \[3, 4\]"):
        open_data(f"npz:{tmp_path}/a.npz,{tmp_path}/b.npz")
    with pytest.raises(DataError, match="images and feature vectors"):
        open_data(f"npz:{tmp_path}/a.npz,folder:{photos(tmp_path / 'p', {'cat': 1, 'dog': 1})}")


def test_the_same_spec_gives_the_same_order(photos, tmp_path):
    root = photos(tmp_path / "p", {name: 3 for name in ("b", "a", "c10", "c9")})
    first, second = (open_data(f"folder:{root}") for _ in range(2))
    assert [item.name for item in first.items] == [item.name for item in second.items]
    assert first.spec == f"folder:{root}" and first.classes == ["a", "b", "c10", "c9"]


def test_a_comma_in_a_path_that_is_there_parts_nothing(tmp_path):
    first, second, third = tmp_path / "holiday, 2021", tmp_path / "b", tmp_path / "x,y,z"
    for folder in (first, second, third):
        folder.mkdir()
    for texts in ([first], [first, second], [second, first], [third, first, second], [tmp_path / "b,c"]):
        spec = "folder:" + ", ".join(map(str, texts))
        known = [str(path) for path in texts if path.exists()] or [str(tmp_path / "b"), "c"]
        assert [part.rest for part in parse(spec)] == known
        assert [part.rest for part in parse(f"{spec},folder:{second}")] == [*known, str(second)]
    assert [part.options for part in parse(f"folder:{first}?a=1,{second}")] == [{"a": "1"}, {}]
    assert len(parse("builtin:digits" + ",digits" * 2000)) == 2001
