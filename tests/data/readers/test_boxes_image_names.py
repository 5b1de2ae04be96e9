"""Images are found by the name that an annotation gives, however it is written, or named as missing."""

import os
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from box_writers import box, coco, image, packed, right, said, voc, xml

from studio.data import open_data


@pytest.mark.parametrize(
    "written",
    [
        "images\\{}.jpg", "C:\\data\\images\\{}.jpg", "{}.JPG", "images/{}.jpg", "/home/else/images/{}.jpg", "{}",
        "{}.png",
        "https://host/data/{}.jpg?token=1", "file:///data/{}.jpg", "/data/local-files/?d=sets%5C{}.jpg",
        "/data/upload/1/0a1b2c3d-{}.jpg", "./{}.jpg",
    ],
)  # fmt: skip
def test_an_image_is_found_however_its_name_is_written(tmp_path, written):
    right(
        open_data(coco(tmp_path, edit=lambda entry, n: entry.update(file_name=written.format(n)))),
        list(range(6)),
    )


@pytest.mark.parametrize(
    ("on_disk", "written"),
    [("my photo.jpg", "my%20photo.jpg"), ("a%20b.jpg", "a%20b.jpg"), ("é.jpg", "é.jpg"), ("Ä.JPG", "ä.jpg"),
     ("50%.jpg", "50%.jpg"), ("a,b;c#d.jpg", "a,b;c#d.jpg"), ("x\\y.jpg", "x\\y.jpg")],
)  # fmt: skip
@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_percent_case_and_accents_are_seen_through(tmp_path, on_disk, written, forms):
    image(tmp_path / "images" / normalize(forms[0], on_disk))
    coco(tmp_path, edit=lambda entry, n: entry.update(file_name=normalize(forms[1], written)), count=1)
    os.remove(tmp_path / "images" / "0.jpg")
    data = open_data(f"coco:{tmp_path / 'ann.json'}?images={tmp_path / 'images'}")
    right(data, [0])


def test_of_several_images_that_could_be_meant_none_is_taken(tmp_path):
    spec = coco(tmp_path, edit=lambda entry, n: entry.update(file_name="A.jpg" if n == 0 else f"{n}.jpg"))
    image(tmp_path / "images" / "one" / "a.jpg")
    image(tmp_path / "images" / "two" / "a.jpg")
    data = open_data(spec)
    assert len(data) == 5 and "A.jpg: several images could be meant" in said(data)


def test_links_are_followed_and_names_that_climb_are_not(tmp_path):
    spec = coco(tmp_path)
    (tmp_path / "store").mkdir()
    for number in range(6):
        path = tmp_path / "images" / f"{number}.jpg"
        path.rename(tmp_path / "store" / f"{number}.blob")
        path.symlink_to(Path("..") / "store" / f"{number}.blob")
    right(open_data(spec))
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    (tmp_path / "images").symlink_to(tmp_path / "elsewhere")  # the whole folder
    right(open_data(spec))
    data = open_data(coco(tmp_path / "two", edit=lambda e, n: e.update(file_name="..\\x.jpg" if n else "0.jpg")))
    assert len(data) == 1 and "leads out" in said(data)


def roboflow(root: Path) -> None:
    """COCO in train/ and valid/, with images of the same names but other boxes; valid lacks one that train has."""
    for folder, shift in (("train", 0), ("valid", 1)):
        coco(root / "x", lambda one, n, s=shift: one.update(bbox=[box(n + s)[0], box(n + s)[1], 44, 36]), count=4)
        (root / folder).mkdir()
        for number in range(4):
            (root / "x" / "images" / f"{number}.jpg").rename(root / folder / f"{number}.jpg")
        (root / "x" / "ann.json").rename(root / folder / "_annotations.coco.json")
    (root / "valid" / "3.jpg").unlink()
    (root / "x" / "images").rmdir()
    (root / "x").rmdir()


def test_images_of_the_same_name_in_other_splits_are_not_mixed_up(tmp_path):
    roboflow(tmp_path / "set")
    archive = packed(tmp_path / "set.zip", tmp_path / "set")
    for spec in (f"folder:{tmp_path / 'set'}", archive):
        data = open_data(spec)
        assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 4, "val": 3}
        for split, shift in (("train", 0), ("val", 1)):
            for number, item in enumerate(data.part(split).items):
                np.testing.assert_allclose(item.boxes.xyxy, [box(number + shift)], atol=0.01)
        assert "val/3.jpg: the image is missing" in said(data)
    one = open_data(f"{archive}?annotations=valid/_annotations.coco.json")
    assert [item.source.name for item in one.items] == [f"valid/{number}.jpg" for number in range(3)]


def test_an_xml_with_its_own_image_is_not_put_on_another(tmp_path):
    voc(tmp_path)
    for path in (tmp_path / "Annotations").iterdir():
        path.write_text(path.read_text().replace(f"<filename>{path.stem}.jpg", "<filename>0.jpg"))
    data = open_data(f"voc:{tmp_path}")
    right(data, list(range(6)))
    assert "5 annotations name another image inside" in said(data)
    (tmp_path / "Annotations" / "lost.xml").write_text(xml(3, "0.jpg"))
    data = open_data(f"voc:{tmp_path}")
    right(data, list(range(6)))
    assert "lost.xml: its image, 0.jpg, is that of another annotation too" in said(data)


def test_of_two_images_with_a_stem_the_one_that_is_named_is_taken(tmp_path):
    voc(tmp_path)
    for number in range(3):
        image(tmp_path / "JPEGImages" / f"{number}.png", (64, 64))
    data = open_data(f"voc:{tmp_path}")
    right(data, list(range(6)))
    assert "3 names are those of two images" in said(data)
    (tmp_path / "Annotations" / "0.xml").write_text(xml(0, "0"))
    assert "0.xml: several images could be meant" in said(open_data(f"voc:{tmp_path}"))
