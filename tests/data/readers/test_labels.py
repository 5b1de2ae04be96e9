"""A labelling project opens as data, and what is written of it reads back the same."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from studio.core.errors import DataError, UsageError
from studio.data import check, open_data
from studio.data.files.limits import limits_of
from studio.data.masks.outlines import run_lengths
from studio.data.writers import formats, write
from studio.store.labelling import Project

SIZE = (24, 16)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.jpg", "sub/a.png", "d.png")):
        Image.new("RGB", SIZE, (60 * number, 100, 50)).save(folder / name)
    return folder


def opened(home, name="p"):
    return open_data(f"labels:{name}", limits_of(home))


def project_of(home, photos, kind):
    return Project.create(home, "p", f"images:{photos}", kind, ["cat", "dog"], {})


@pytest.fixture
def boxed(home, photos):
    project = project_of(home, photos, "boxes")
    project.mark("a.png", {"size": SIZE, "boxes": [["dog", 1, 2, 9.5, 8], ["cat", 0, 0, 24, 16]]})
    project.mark("sub/a.png", {"size": SIZE, "boxes": []})
    return project


@pytest.fixture
def masked(home, photos):
    project = project_of(home, photos, "masks")
    brushed = np.zeros(SIZE[::-1], bool)
    brushed[9:14, 3:20] = True
    project.mark(
        "b.jpg", {"size": SIZE, "shapes": [["dog", [[1, 1, 8, 1, 8, 7, 1, 7]]], ["cat", run_lengths(brushed)]]}
    )
    return project


def test_what_is_labelled_is_data_and_the_rest_is_not(home, photos):
    project = project_of(home, photos, "classes")
    with pytest.raises(DataError, match="no image of this project is labelled yet"):
        opened(home)
    project.mark("d.png", {"label": "dog"})
    project.mark("a.png", {"label": "cat"})
    project.skip("b.jpg")
    dataset = opened(home)
    assert [(item.name, dataset.classes[item.label]) for item in dataset.items] == [("d.png", "dog"), ("a.png", "cat")]
    assert open_data("labels:p?at=2", limits_of(home)).classes == ["dog"]
    assert check("labels:p", home).classes == {"cat": 1, "dog": 1}


def test_an_image_that_is_gone_or_was_replaced_is_named(home, photos, boxed):
    (photos / "sub" / "a.png").unlink()
    Image.new("RGB", (5, 5)).save(photos / "d.png")
    boxed.mark("d.png", {"size": SIZE, "boxes": [["cat", 0, 0, 3, 3]]})
    dataset = opened(home)
    assert [item.name for item in dataset.items] == ["a.png"]
    assert {skip.name for skip in dataset.skipped} == {"sub/a.png", "d.png"}


def test_a_visitor_opens_their_own_projects_over_their_own_uploads_alone(home, photos):
    visitor = home.seen_by("visitor01")
    project_of(home, photos, "classes").mark("a.png", {"label": "cat"})
    with pytest.raises(UsageError, match="no labelling project"):
        opened(visitor)
    Project.create(visitor, "p", f"images:{photos}", "classes", [], {}).mark("a.png", {"label": "cat"})
    with pytest.raises(DataError, match="neither"):
        opened(visitor)


def test_images_come_from_a_zip_as_well(home, photos, tmp_path):
    file = tmp_path / "photos.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in photos.rglob("*.*"):
            archive.write(path, path.relative_to(photos).as_posix())
    names = {item.name for item in open_data(f"images:{file}").items}
    assert names == {"a.png", "b.jpg", "sub/a.png", "d.png"}


def test_boxes_read_back_from_every_format_as_they_were_written(home, boxed, tmp_path):
    dataset = opened(home)
    assert formats("boxes") == ["coco", "voc", "yolo"]
    specs = {"coco": "coco:{}/annotations.json?images={}/images", "voc": "voc:{}", "yolo": "yolo:{}/data.yaml"}
    for kind, spec in specs.items():
        out = tmp_path / kind
        write(dataset, kind, out)
        back = open_data(spec.format(out, out))
        assert len(back) == 2 and not back.skipped and not back.remarks, (kind, back.skipped, back.remarks)
        (item,) = [item for item in back.items if len(item.boxes)]
        labels = [back.classes[label] for label in item.boxes.labels]
        assert labels == ["dog", "cat"], kind
        np.testing.assert_allclose(item.boxes.xyxy, [[1, 2, 9.5, 8], [0, 0, 24, 16]], atol=1e-4)


def test_masks_read_back_from_every_format_as_they_were_drawn(home, masked, tmp_path):
    dataset = opened(home)
    drawn = dataset.items[0].mask.read()
    assert dataset.classes == ["background", "cat", "dog"] and set(np.unique(drawn)) == {0, 1, 2}
    assert (drawn[9:14, 3:20] == 1).all() and (drawn[2:6, 2:7] == 2).all()
    specs = {
        "coco": "coco:{}/annotations.json?images={}/images&truth=masks",
        "masks": "masks:{}?classes={}/classes.txt",
    }
    assert formats("masks") == list(specs)
    for kind, spec in specs.items():
        out = tmp_path / kind
        write(dataset, kind, out)
        back = open_data(spec.format(out, out))
        assert back.classes == dataset.classes
        np.testing.assert_array_equal(back.items[0].mask.read(), drawn, err_msg=kind)


def test_classes_read_back_from_folders_and_images_stand_upright(home, photos, tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", SIZE, "red").save(photos / "d.jpg", exif=turned)
    project = project_of(home, photos, "classes")
    for name, label in (("a.png", "c/t"), ("sub/a.png", "c/t"), ("d.jpg", "c?t")):
        project.mark(name, {"label": label})
    files = write(opened(home), "folders", tmp_path / "out")
    assert files == ["c_t-2/d.png", "c_t/a.png", "c_t/sub-a.png"]
    assert Image.open(tmp_path / "out" / "c_t-2" / "d.png").size == SIZE[::-1]
    assert len(open_data(f"folder:{tmp_path / 'out'}")) == 3


def test_a_format_that_cannot_hold_the_truth_is_refused(home, boxed, tmp_path):
    with pytest.raises(UsageError, match="folders can't hold boxes. Formats that can: coco, voc, yolo"):
        write(opened(home), "folders", tmp_path / "out")
    with pytest.raises(UsageError, match="no format 'coc'. Did you mean 'coco'"):
        write(opened(home), "coc", tmp_path / "out")
