"""Lists and class folders as people's programs write them."""

import unicodedata

import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.core.events import EventWriter, read_events
from studio.data.specs import open_data
from studio.store.files import to_json


@pytest.fixture
def photos(tmp_path):
    for label in ("cat", "dog"):
        for number in range(2):
            path = tmp_path / "photos" / label / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(path)
    return tmp_path / "photos"


def rows(line, heading=""):
    lines = [line.format(n=n, path=f"{label}/{k}.jpg", label=label) for label in ("cat", "dog")
             for n, k in ((0, 0), (1, 1))]  # fmt: skip
    return "\n".join([heading, *lines] if heading else lines)


TABLES = {
    "pandas": (rows("{n},{path},{label}", ",filename,label"), "utf-8"),
    "pandas, label first": (rows("{n},{label},{path}", "Unnamed: 0,label,image_path"), "utf-8"),
    "semicolon": (rows("{path};{label}", "filename;label"), "utf-8"),
    "semicolon, no heading": (rows("{path};{label}"), "utf-8"),
    "tab": (rows("{path}\t{label}\t3", "file\tClass Name\tage"), "utf-8"),
    "quoted": (rows('"{path}","{label}"', '"path","category"'), "utf-8-sig"),
    "utf-16": (rows("{path}\t{label}", "filename\tlabel"), "utf-16"),
    "plain": (rows("{path} {label}"), "utf-8"),
    "own name of the class": (rows("{path},{label}", "image,animal"), "utf-8"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_by_its_heading(photos, name):
    text, encoding = TABLES[name]
    (photos / "list.csv").write_bytes(text.encode(encoding))
    data = open_data(f"list:{photos / 'list.csv'}")
    assert data.classes == ["cat", "dog"] and data.labels.tolist() == [0, 0, 1, 1] and not data.skipped


@pytest.mark.parametrize(
    "text, said",
    [
        ("filename,class,bbox\na.jpg,cat,1 1 2 2", "lists boxes"),
        ("filename,age,colour\na.jpg,3,red", "which column"),
        (",\n,\n", "Name the folder"),
    ],
)
def test_a_table_that_is_not_sure_is_asked_about(photos, text, said):
    (photos / "list.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        open_data(f"list:{photos / 'list.csv'}")


def test_absolute_paths_are_told_of_root_and_read_with_it(photos):
    lists = photos.parent / "lists"
    lists.mkdir()
    (lists / "train.csv").write_text("\n".join(f"{path},{path.parent.name}" for path in photos.rglob("*.jpg")))
    with pytest.raises(DataError, match=r"\?root="):
        open_data(f"list:{lists / 'train.csv'}")
    assert len(open_data(f"list:{lists / 'train.csv'}?root={photos}")) == 4


def test_a_class_is_one_however_its_accents_are_written(tmp_path):
    for split, form in (("train", "NFC"), ("val", "NFD")):
        for label in ("épinard", "chêne"):
            folder = tmp_path / split / unicodedata.normalize(form, label)
            folder.mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(folder / "0.jpg")
    assert open_data(f"folder:{tmp_path}").classes == ["chêne", "épinard"]


def test_file_names_that_are_no_utf_8_can_be_told(tmp_path):
    name = b"\xc3\xff.jpg".decode("utf-8", "surrogateescape")
    with EventWriter(tmp_path / "events") as events:
        events.warning(f"left out {name}")
    assert read_events(tmp_path / "events")[0][0]["message"] == "left out ??.jpg"
    assert b"??.jpg" in to_json({"name": name})


ONE_HOT = """filename, cat, dog{more}
cat/0.jpg,1,0{zero}
cat/1.jpg, 1, 0{zero}
dog/0.jpg,0,1{zero}
dog/1.jpg,0,1{zero}
"""


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("more, zero", [("", ""), (", wolf", ",0")])
def test_a_table_with_a_column_of_0_and_1_for_each_class_is_read(photos, mark, more, zero):
    (photos / "_classes.csv").write_text(ONE_HOT.format(more=more, zero=zero).replace(",", mark))
    data = open_data(f"list:{photos / '_classes.csv'}")
    assert data.classes == ["cat", "dog"] and data.labels.tolist() == [0, 0, 1, 1]


def test_rows_of_several_classes_or_none_are_counted_and_refused(photos):
    table = "filename,cat,dog\ncat/0.jpg,1,0\ncat/1.jpg,1,1\ndog/0.jpg,1,1\ndog/1.jpg,0,0\n"
    (photos / "_classes.csv").write_text(table)
    with pytest.raises(DataError, match=r"2 of 4 rows have several classes and 1 have none \(the first is line 3\)"):
        open_data(f"list:{photos / '_classes.csv'}")


@pytest.mark.parametrize("name", ["table.xlsx", "table.XLS", "table.ods"])
def test_a_workbook_is_to_be_saved_as_csv(photos, name):
    (photos / name).write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match="Save its sheet as CSV UTF-8"):
        open_data(f"list:{photos / name}")
