"""Lists and folders that divide the images of an annotation: found, asked for or named."""

from pathlib import Path

import pytest
from box_writers import image, packed, right, said, voc, yolo, yolo_row

from studio.core.errors import DataError
from studio.data import check, open_data


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_image_sets_are_read_with_spaces_suffixes_folders_and_marks(tmp_path, codec):
    stems = ["photo 0", "1", "1 1", "b.c", "4", "5"]
    train = "photo 0\r\n1\r\n1 1\r\n\r\n"
    test = "b.c\r\nJPEGImages\\4.jpg\r\n5 -1\r\nlost one\r\n"
    data = open_data(voc(tmp_path, stems, {"train.txt": train.encode(codec), "test.txt": test.encode(codec)}))
    named = {name: [data.items[row].name for row in rows] for name, rows in data.splits.items()}
    assert named == {"train": ["1 1.jpg", "1.jpg", "photo 0.jpg"], "test": ["4.jpg", "5.jpg", "b.c.jpg"]}
    assert "lost one: test.txt names it" in said(data)


def test_trainval_is_train_as_far_as_no_other_list_says_otherwise(tmp_path):
    data = open_data(voc(tmp_path, lists={"trainval.txt": "0\n1\n2\n3\n", "test.txt": "4\n", "val.txt": "3\n"}))
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 3, "test": 1, "val": 1}
    assert "1 annotations are in none of the lists" in said(data)


def split_yolo(root: Path, yaml: str, train="train", val="valid") -> str:
    for number in range(6):
        folder = root / (train if number < 4 else val)
        image(folder / "images" / f"{number}.jpg")
        (folder / "labels").mkdir(exist_ok=True)
        (folder / "labels" / f"{number}.txt").write_text(f"{number % 2} {yolo_row(number)}\n")
    (root / "data.yaml").write_text(yaml + "names: [nut, bolt]\n")
    return f"yolo:{root / 'data.yaml'}"


@pytest.mark.parametrize(
    "yaml",
    [
        "train: ../train/images\nval: ../valid/images\n", "train: train/images\nvalid: valid/images\n",
        "train: train\nvalidation: valid\n", "path: ../datasets/nuts\ntrain: train/images\nval: valid/images\ntest:\n",
        "train: /content/nuts/train/images\nval: /content/nuts/valid/images\ntest: null\n",
        "train: [train/images]\nval: ..\\valid\\images\n", "Train: ./train\nVALID: ./valid\n",
    ],
)  # fmt: skip
def test_the_folders_of_a_yaml_are_found(tmp_path, yaml):
    spec = split_yolo(tmp_path, yaml)
    for one in (spec, f"yolo:{tmp_path}", f"folder:{tmp_path}"):
        data = open_data(one)
        right(data)
        assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 4, "val": 2}
    archive = packed(tmp_path / "set.zip", tmp_path)
    right(open_data(archive))


def test_a_folder_that_may_be_another_sets_is_asked_for(tmp_path):
    spec = split_yolo(tmp_path / "one", "train: ../train/images\nval: ../valid/images\n")
    right(open_data(spec))
    split_yolo(tmp_path, "train: train\n")
    with pytest.raises(DataError, match="which may be"):
        open_data(spec)


def test_a_key_that_looks_like_a_split_and_is_none_is_named(tmp_path):
    data = open_data(split_yolo(tmp_path, "train: train\nval: valid\ntest_dev: valid\nnc: 3\n"))
    assert "data.yaml has test_dev, which is no split" in said(data) and "says nc: 3, but names 2" in said(data)


@pytest.mark.parametrize("name", ["1.TXT", "1.Txt"])
def test_a_text_is_found_whatever_the_case_of_its_suffix(tmp_path, name):
    spec = yolo(tmp_path)
    (tmp_path / "labels" / "1.txt").rename(tmp_path / "labels" / name)
    right(open_data(spec))
    (tmp_path / "labels").rename(tmp_path / "Labels")
    right(open_data(spec))


def test_a_text_that_may_belong_to_either_of_two_images_is_named(tmp_path):
    spec = yolo(tmp_path)
    image(tmp_path / "images" / "0.png")
    data = open_data(spec)
    right(data)
    assert len(data) == 5 and "0.txt may belong to either image" in said(data)


def test_a_list_of_images_may_name_missing_ones_also_in_a_zip(tmp_path):
    yolo(tmp_path, "train: train.txt\nnames: [nut, bolt]\n")
    (tmp_path / "train.txt").write_text("images/0.jpg\n./images/1.jpg\n/content/x/images/2.jpg\nimages/gone.jpg\n")
    archive = packed(tmp_path / "set.zip", tmp_path)
    for spec in (f"yolo:{tmp_path / 'data.yaml'}", archive):
        data = open_data(spec)
        right(data, [0, 1, 2])
        assert "images/gone.jpg: train.txt names it" in said(data)
        assert check(spec).images == 3


def test_no_text_at_all_says_where_they_were_looked_for(tmp_path):
    spec = yolo(tmp_path)
    (tmp_path / "labels").rename(tmp_path / "annotations")
    with pytest.raises(DataError, match=r"none of its 6 images has a text; looked for .*labels/0\.txt"):
        open_data(spec)
