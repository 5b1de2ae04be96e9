"""A table of classes or of boxes that lies among the images is found by `folder:` and `zip:`, as a tool exported it."""

import shutil
import zipfile

import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.data import open_data

ONE_HOT = "filename, cat, dog\n0.jpg, 1, 0\n1.jpg, 0, 1\n"
TFOD = "filename,width,height,class,xmin,ymin,xmax,ymax\n0.jpg,40,30,cat,2,3,20,25\n1.jpg,40,30,dog,4,5,30,20\n"


@pytest.fixture
def filed(tmp_path):
    """A function of (texts by path, images by path, scheme) that gives the spec of a folder or zip with them."""

    def make(texts: dict[str, str], images: list[str], scheme: str) -> str:
        root = tmp_path / "set"
        for name in [*texts, *images]:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (root / name).write_text(text)
        for number, name in enumerate(images):
            Image.new("RGB", (40, 30), (40 * number, 9, 9)).save(root / name)
        return f"zip:{shutil.make_archive(str(root), 'zip', root)}" if scheme == "zip" else f"folder:{root}"

    return make


def labels_by_name(data) -> dict[str, str]:
    return {item.name: data.classes[item.label] for item in data.items}


both = pytest.mark.parametrize("scheme", ["folder", "zip"])


@both
def test_roboflows_one_hot_tables_are_one_set_with_splits(filed, scheme):
    parts = ["train", "valid", "test"]
    images = [f"{part}/{number}.jpg" for part in parts for number in range(2)]
    data = open_data(filed({f"{part}/_classes.csv": ONE_HOT for part in parts}, images, scheme))
    assert data.classes == ["cat", "dog"] and not data.boxed
    assert {name: len(members) for name, members in data.splits.items()} == {"train": 2, "val": 2, "test": 2}
    assert labels_by_name(data)["val/1.jpg"] == "dog"


@both
@pytest.mark.parametrize("name", ["_annotations.csv", "labels.csv"])
def test_tfods_tables_of_boxes_are_one_set_with_splits(filed, scheme, name):
    images = [f"{part}/{number}.jpg" for part in ("train", "test") for number in range(2)]
    data = open_data(filed({f"{part}/{name}": TFOD for part in ("train", "test")}, images, scheme))
    assert data.boxed and data.classes == ["cat", "dog"] and set(data.splits) == {"train", "test"}


@both
def test_tables_named_after_splits_are_joined(filed, scheme):
    second = TFOD.replace("0.jpg", "2.jpg").replace("1.jpg", "3.jpg")
    images = [f"images/{number}.jpg" for number in range(4)]
    data = open_data(filed({"train_labels.csv": TFOD, "test_labels.csv": second}, images, scheme))
    assert data.boxed and {name: len(members) for name, members in data.splits.items()} == {"train": 2, "test": 2}


@both
@pytest.mark.parametrize(
    "table", ["id,breed\na1,cat\nb2,dog\n", ",image_name,label\n0,a1.jpg,cat\n1,b2.jpg,dog\n"], ids=["ids", "pandas"]
)
def test_a_table_of_classes_beside_a_folder_of_images_is_found(filed, scheme, table):
    data = open_data(filed({"labels.csv": table}, ["images/a1.jpg", "images/b2.jpg"], scheme))
    assert sorted(labels_by_name(data).values()) == ["cat", "dog"]


@both
def test_class_folders_win_over_a_table_of_classes_which_is_told_and_can_be_named(filed, scheme):
    table = "filename,label\ncat/0.jpg,old\ndog/1.jpg,young\n"
    spec = filed({"ages.csv": table}, ["cat/0.jpg", "dog/1.jpg"], scheme)
    data = open_data(spec)
    assert data.classes == ["cat", "dog"] and "annotations=ages.csv" in " ".join(data.remarks)
    assert open_data(f"{spec}?annotations=ages.csv").classes == ["old", "young"]


@both
@pytest.mark.parametrize("table", ["id,price\nc3,4\nd4,5\n", "a,b\n1,2\n", "filename,label\n"])
def test_a_table_of_something_else_changes_nothing(filed, scheme, table):
    data = open_data(filed({"prices.csv": table}, ["cat/0.jpg", "dog/1.jpg"], scheme))
    assert data.classes == ["cat", "dog"] and not data.remarks


@both
def test_rows_of_several_classes_are_refused_inside_too(filed, scheme):
    with pytest.raises(DataError, match="several classes"):
        open_data(filed({"_classes.csv": ONE_HOT + "0.jpg,1,1\n"}, ["0.jpg", "1.jpg"], scheme))


def test_a_list_in_a_zip_does_not_lead_out_of_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("labels.csv", "filename,label\n../0.jpg,cat\n")
        archive.writestr("one.txt", "x")
    with pytest.raises(DataError, match="no annotations|no images"):
        open_data(f"zip:{tmp_path / 'set.zip'}")
