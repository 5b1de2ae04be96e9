"""The sets of few-shot learning in the layouts people have: lists (miniImageNet, CUB, CIFAR-FS) and Omniglot."""

import zipfile

import pytest

from studio.core.errors import DataError
from studio.data import open_data, read_image


def test_miniimagenet_lists_file_and_label_with_a_heading(photos, tmp_path):
    photos(tmp_path, {"images": 4})
    (tmp_path / "train.csv").write_text("filename,label\n0.jpg,n01532829\n2.jpg,n01532829\n3.jpg,n01558993\n")
    found = open_data(f"list:{tmp_path / 'train.csv'}")  # the images lie in images/ beside it
    assert found.classes == ["n01532829", "n01558993"] and found.labels.tolist() == [0, 0, 1]
    assert [item.name for item in found.items] == ["0.jpg", "2.jpg", "3.jpg"]
    again = open_data(f"list:{tmp_path / 'train.csv'}?root={tmp_path / 'images'}")
    assert [item.source.path.resolve() for item in again.items] == [item.source.path.resolve() for item in found.items]


def test_cub_lists_a_path_and_a_label_apart_by_a_space(photos, tmp_path):
    photos(tmp_path, {"images/001.Albatross": 2, "images/002.Auklet": 1})
    (tmp_path / "train.txt").write_text("001.Albatross/0.jpg 0\n001.Albatross/1.jpg 0\n\n002.Auklet/0.jpg 1\n")
    assert open_data(f"list:{tmp_path / 'train.txt'}").labels.tolist() == [0, 0, 1]


def test_a_path_alone_has_its_folder_as_class_and_may_hold_spaces(photos, tmp_path):
    photos(tmp_path, {"red fox": 1, "cat": 1})
    (tmp_path / "list.txt").write_text("red fox/0.jpg\ncat/0.jpg\n")
    assert open_data(f"list:{tmp_path / 'list.txt'}").classes == ["cat", "red fox"]


def test_cifar_fs_lists_classes_whose_folders_lie_in_data(photos, tmp_path):
    photos(tmp_path, {"data/apple": 2, "data/bear": 3, "data/whale": 1})
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "train.txt").write_text("bear\napple\n")
    found = open_data(f"list:{tmp_path / 'splits' / 'train.txt'}?root={tmp_path}")
    assert found.classes == ["apple", "bear"] and len(found) == 5 and found.items[0].name == "bear/0.jpg"


def test_labels_with_commas_and_paths_of_windows_are_read(photos, tmp_path):
    photos(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "list.csv").write_text('﻿image,label\na\\0.jpg,"cat, small"\nb\\0.jpg,dog\n', encoding="utf-8")
    assert open_data(f"list:{tmp_path / 'list.csv'}").classes == ["cat, small", "dog"]


def test_listed_files_that_are_missing_or_broken_are_named(photos, tmp_path):
    photos(tmp_path, {"cat": 1, "dog": 1})
    (tmp_path / "dog" / "bad.jpg").write_text("text")
    (tmp_path / "list.txt").write_text("cat/0.jpg\ndog/0.jpg\ndog/bad.jpg\ndog/gone.jpg\n")
    found = open_data(f"list:{tmp_path / 'list.txt'}")
    assert len(found) == 2 and {skip.name for skip in found.skipped} == {"dog/bad.jpg", "list.txt, line 4"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"../secret.jpg x\n", "leads out of"),
        (b"/etc/passwd.jpg x\n", "leads out of"),
        (b"gone/0.jpg x\n", r"none of the files on its 1 lines is below .* with \?root=FOLDER"),
        (b"", "none of the files on its 0 lines"),
        (b"\xff\xfe\x00", "no text file in UTF-8"),
    ],
)
def test_lists_that_lead_nowhere_are_explained(tmp_path, content, words):
    (tmp_path / "below").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "below" / "list.txt").write_bytes(content)
    with pytest.raises(DataError, match=words):
        open_data(f"list:{tmp_path / 'below' / 'list.txt'}")


def test_a_missing_list_or_root_is_named(tmp_path):
    with pytest.raises(DataError, match="There is no file .*list.txt"):
        open_data(f"list:{tmp_path / 'list.txt'}")
    (tmp_path / "list.txt").write_text("a.jpg x")
    with pytest.raises(DataError, match="there is no folder .*nowhere"):
        open_data(f"list:{tmp_path / 'list.txt'}?root={tmp_path / 'nowhere'}")


@pytest.fixture(params=["folder", "torchvision", "zip"])
def omniglot(request, tmp_path, draw, encode):
    """A spec of two alphabets of two and one characters, two drawers each, in one of the layouts."""
    files = {
        f"images_background/{alphabet}/character{character:02}/{number}_{drawer:02}.png": encode(
            draw(10 * number + drawer).convert("1"), "PNG"
        )
        for number, (alphabet, character) in enumerate([("Greek", 1), ("Greek", 2), ("Latin", 1)], start=1)
        for drawer in (1, 2)
    }
    root = tmp_path / "omniglot"
    if request.param == "zip":
        root.mkdir()
        with zipfile.ZipFile(root / "images_background_small1.zip", "w") as archive:
            for name, content in {**files, "__MACOSX/Greek/character01/._1_01.png": b"x"}.items():
                archive.writestr(name, content)
        return f"omniglot:{root / 'images_background_small1.zip'}"
    below = root / "omniglot-py" if request.param == "torchvision" else root
    for name, content in files.items():
        (below / name).parent.mkdir(parents=True, exist_ok=True)
        (below / name).write_bytes(content)
    return f"omniglot:{root}"


def test_omniglot_has_characters_as_classes_and_alphabets_as_domains(omniglot):
    found = open_data(omniglot)
    assert found.classes == ["Greek/character01", "Greek/character02", "Latin/character01"]
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert [item.domain for item in found.items] == ["Greek"] * 4 + ["Latin"] * 2
    assert read_image(found.items[0].source).mode == "RGB" and found.skipped == []


def test_some_alphabets_can_be_chosen_and_whole_alphabets_be_classes(omniglot):
    assert open_data(f"{omniglot}?alphabets=Latin").classes == ["Latin/character01"]
    assert len(open_data(f"{omniglot}?alphabets=Latin+Greek")) == 6
    assert open_data(f"{omniglot}?level=alphabet").labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_a_published_split_of_classes_can_be_given_with_or_without_rotations(omniglot, tmp_path):
    (tmp_path / "train.txt").write_text("Greek/character02/rot000\nGreek/character02/rot090\nLatin/character01\n")
    found = open_data(f"{omniglot}?classes={tmp_path / 'train.txt'}")
    assert found.classes == ["Greek/character02", "Latin/character01"]
    (tmp_path / "train.txt").write_text("Greek/character07\n")
    with pytest.raises(DataError, match="1 classes not found here, such as 'Greek/character07'"):
        open_data(f"{omniglot}?classes={tmp_path / 'train.txt'}")


def test_wrong_omniglot_options_are_answered(omniglot):
    with pytest.raises(DataError, match="no alphabet 'Grek' here. Did you mean 'Greek'"):
        open_data(f"{omniglot}?alphabets=Grek")
    with pytest.raises(DataError, match="expected character or alphabet"):
        open_data(f"{omniglot}?level=drawer")
    with pytest.raises(DataError, match="there is no file"):
        open_data(f"{omniglot}?classes=nowhere.txt")


def test_a_folder_without_characters_is_no_omniglot(photos, tmp_path):
    with pytest.raises(DataError, match="holds no Omniglot characters; expected Alphabet/character01"):
        open_data(f"omniglot:{photos(tmp_path, {'cat': 1})}")
    with pytest.raises(DataError, match="There is no file or folder"):
        open_data(f"omniglot:{tmp_path / 'nowhere'}")


def test_a_damaged_drawing_is_named(omniglot, tmp_path):
    path = next((tmp_path / "omniglot").rglob("1_01.png"), None)
    if path is None:
        pytest.skip("the zip of this layout has a test of its own")
    path.write_bytes(b"text")
    (skip,) = open_data(omniglot).skipped
    assert skip.name.endswith("Greek/character01/1_01.png") and "text" in skip.reason


def test_omniglot_for_real(shared_data):
    found = open_data(f"omniglot:{shared_data / 'omniglot_small1.zip'}")
    assert (len(found), len(found.classes), len({item.domain for item in found.items})) == (2720, 136, 5)
    assert read_image(found.items[0].source).size == (105, 105)
