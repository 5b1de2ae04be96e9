"""folder: and zip: the same layouts, the same datasets; what can't be used is named."""

import os
import zipfile
from pathlib import Path

import pytest

from studio.core.errors import DataError
from studio.data import open_data, read_image, require_classes
from studio.data.files import layout


def packed(root: Path, file: Path) -> Path:
    """All below `root` as a zip."""
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, path.relative_to(root))
    return file


@pytest.fixture(params=["folder", "zip"])
def opened(request, tmp_path):
    """`opened(root)` reads the folder `root`, as it is or packed."""

    def read(root: Path):
        if request.param == "folder":
            return open_data(f"folder:{root}")
        return open_data(f"zip:{packed(root, tmp_path / 'packed.zip')}")

    return read


def reasons(dataset) -> dict[str, str]:
    return {skip.name: skip.reason for skip in dataset.skipped}


def test_sub_folders_are_classes_in_the_order_of_their_names(opened, photos, tmp_path):
    found = opened(photos(tmp_path / "p", {"dog": 2, "cat": 3, "ähre": 1}))
    assert found.classes == ["cat", "dog", "ähre"] and found.splits == {} and found.skipped == []
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 2]
    assert [item.name for item in found.items][:2] == ["cat/0.jpg", "cat/1.jpg"]
    assert all(read_image(item.source).size == (64, 48) for item in found.items)
    assert len({item.source.digest() for item in found.items}) == 6


@pytest.mark.parametrize("held", ("val", "valid", "validation", "Validation"))
def test_train_val_and_test_above_the_classes_are_splits(opened, photos, tmp_path, held):
    root = photos(tmp_path / "p", {"train/cat": 2, "train/dog": 2, f"{held}/cat": 1, f"{held}/dog": 1, "test/dog": 3})
    found = opened(root)
    assert found.classes == ["cat", "dog"]
    assert {name: found.part(name).labels.tolist() for name in found.splits} == {
        "train": [0, 0, 1, 1], "val": [0, 1], "test": [1, 1, 1]
    }  # fmt: skip


def test_classes_may_be_called_test_and_control(opened, photos, tmp_path):
    found = opened(photos(tmp_path / "p", {"control/monday": 2, "test/monday": 2}))
    assert found.classes == ["control", "test"] and found.splits == {}


def test_folders_that_wrap_everything_are_seen_through(opened, photos, tmp_path):
    root = photos(tmp_path / "p", {"CUB_200/images/001.Albatross": 2, "CUB_200/images/002.Auklet": 2})
    (root / "CUB_200" / "README").write_text("birds")
    found = opened(root)
    assert found.classes == ["001.Albatross", "002.Auklet"]
    assert reasons(found) == {"CUB_200/README": "it is no image file"}
    assert found.items[0].name == "CUB_200/images/001.Albatross/0.jpg"


def test_a_wrapping_folder_above_splits_is_seen_through_but_train_alone_is_a_split(opened, photos, tmp_path):
    assert list(opened(photos(tmp_path / "a", {"set/train/cat": 1, "set/train/dog": 1})).splits) == ["train"]


def test_folders_within_a_class_belong_to_it(opened, photos, tmp_path):
    found = opened(photos(tmp_path / "p", {"cat/indoor": 1, "cat/outdoor/sun": 2, "dog": 1}))
    assert found.classes == ["cat", "dog"] and found.labels.tolist() == [0, 0, 0, 1]


def test_what_systems_leave_behind_is_ignored(opened, photos, tmp_path):
    root = photos(tmp_path / "p", {"cat": 1, "dog": 1, "__MACOSX/cat": 1, ".cache/x": 1})
    for name in ("cat/.DS_Store", "cat/._0.jpg", "cat/Thumbs.db", "desktop.ini"):
        (root / name).write_bytes(b"x")
    found = opened(root)
    assert found.classes == ["cat", "dog"] and len(found) == 2 and found.skipped == []


def test_broken_empty_and_foreign_files_are_named_and_left_out(opened, photos, tmp_path):
    root = photos(tmp_path / "p", {"cat": 2, "dog": 2})
    (root / "cat" / "empty.jpg").touch()
    (root / "cat" / "text.jpg").write_text("this is a text")
    (root / "dog" / "notes.txt").write_text("this too")
    (root / "dog" / "IMG_1.HEIC").write_bytes(b"....ftypheic")
    (root / "lost.png").write_bytes((root / "cat" / "0.jpg").read_bytes())
    found = opened(root)
    assert len(found) == 4
    named = reasons(found)
    assert set(named) == {"cat/empty.jpg", "cat/text.jpg", "dog/notes.txt", "dog/IMG_1.HEIC", "lost.png"}
    assert "empty" in named["cat/empty.jpg"] and "text" in named["cat/text.jpg"] and "JPEG" in named["dog/IMG_1.HEIC"]
    assert "no class folder" in named["lost.png"]


def test_a_file_cut_short_is_found_by_decoding_and_kept_until_then(opened, photos, tmp_path):
    root = photos(tmp_path / "p", {"cat": 1, "dog": 1})
    (root / "cat" / "cut.jpg").write_bytes((root / "cat" / "0.jpg").read_bytes()[:-400])
    assert "cat/cut.jpg" in [item.name for item in opened(root).items]


def test_many_foreign_files_of_one_kind_are_named_together(opened, photos, tmp_path):
    root = photos(tmp_path / "p", {"cat": 1, "dog": 1})
    for number in range(40):
        (root / "cat" / f"{number:02}.xml").write_text("<a/>")
    (named,) = opened(root).skipped
    assert named.name == "40 files *.xml, such as cat/00.xml"


def test_a_class_without_one_usable_file_is_left_out_and_named(opened, photos, tmp_path):
    root = photos(tmp_path / "p", {"cat": 1, "dog": 1, "emu": 0})
    (root / "emu" / "a.jpg").touch()
    found = opened(root)
    assert found.classes == ["cat", "dog"] and "none of its 1 files" in reasons(found)["class emu"]


def test_images_beside_the_splits_are_named(opened, photos, tmp_path):
    found = opened(photos(tmp_path / "p", {"train/cat": 1, "train/dog": 1, "val/cat": 1, "extra/cat": 1}))
    assert len(found) == 3 and "beside train/" in reasons(found)["extra/cat/0.jpg"]


def test_an_empty_folder_images_in_the_root_and_only_other_files_are_refused(opened, photos, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images; it is empty"):
        opened(tmp_path / "empty")
    with pytest.raises(DataError, match=r"2 images, but in no class folder.*photos/cat/1\.jpg"):
        opened(photos(tmp_path / "flat", {".": 2}))
    photos(tmp_path / "phone", {"cat": 0})
    (tmp_path / "phone" / "cat" / "1.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"1 other files \(\.heic\); HEIC photos must be exported as JPEG"):
        opened(tmp_path / "phone")


def test_where_no_file_can_be_used_the_first_reasons_are_said(opened, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "p" / name).mkdir(parents=True)
        (tmp_path / "p" / name / "a.jpg").touch()
    with pytest.raises(DataError, match=r"none of its 2 image files can be used.*cat/a\.jpg: the file is empty"):
        opened(tmp_path / "p")


def test_one_class_opens_but_is_refused_where_classes_are_told_apart(opened, photos, tmp_path):
    found = opened(photos(tmp_path / "p", {"cat": 3}))
    with pytest.raises(DataError, match="only the class 'cat'; at least 2 are needed"):
        require_classes(found)
    require_classes(found, 1)


def test_a_missing_folder_a_file_and_a_zip_taken_for_a_folder_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="There is no folder .*nowhere"):
        open_data(f"folder:{tmp_path / 'nowhere'}")
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"is a file, not a folder\. For a zip write zip:.*a\.zip"):
        open_data(f"folder:{tmp_path / 'a.zip'}")
    with pytest.raises(DataError, match="is a folder, not a zip file.*write folder:"):
        open_data(f"zip:{tmp_path}")


def test_linked_class_folders_are_followed_and_circles_end(photos, tmp_path):
    root = photos(tmp_path / "p", {"cat": 1, "dog": 1})
    photos(tmp_path / "elsewhere", {"x": 2})
    try:
        os.symlink(tmp_path / "elsewhere" / "x", root / "emu", target_is_directory=True)
        os.symlink(root, root / "dog" / "again", target_is_directory=True)
    except OSError:
        pytest.skip("no right to make links here")
    assert open_data(f"folder:{root}").labels.tolist() == [0, 1, 2, 2]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may open every folder")
def test_a_folder_that_may_not_be_opened_is_named(photos, tmp_path):
    root = photos(tmp_path / "p", {"cat": 1, "dog": 1, "emu": 1})
    (root / "emu").chmod(0)
    try:
        assert "can't be opened" in reasons(open_data(f"folder:{root}"))["emu"]
    finally:
        (root / "emu").chmod(0o700)


def test_photos_for_real(shared_data):
    found = open_data(f"folder:{shared_data / 'hymenoptera'}")
    assert found.classes == ["ants", "bees"] and {name: len(part) for name, part in found.splits.items()} == {
        "train": 245, "val": 153
    }  # fmt: skip


def test_a_disk_that_answers_slowly_is_read_by_threads_to_the_same_end(tmp_path, photos, monkeypatch):
    spec = f"folder:{photos(tmp_path, {'a': 3, 'b': 3})}"
    (tmp_path / "b" / "9.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    at_once = open_data(spec)
    monkeypatch.setattr(layout, "PROBED", 2)
    monkeypatch.setattr(layout, "QUICK_S", 0.0)
    by_threads = open_data(spec)
    assert by_threads.items == at_once.items and by_threads.skipped == at_once.skipped
    assert [skip.name for skip in at_once.skipped] == ["b/9.jpg"]
