"""Images and masks are paired by name, values become classes, and what is odd is said."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.data import check, open_data
from studio.data.files.limits import LIMITS
from studio.data.masks.class_map import VOID, upright_map

SIZE = (12, 8)  # width, height


def image(path: Path, size=SIZE, **save) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(zlib.crc32(path.name.encode()))
    noise = draw.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, **save)


def mask(path: Path, values, size=SIZE, palette=None, dtype=np.uint8, **save) -> np.ndarray:
    """A mask of vertical stripes of `values`; returns its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = np.array(values, dtype)[np.arange(size[0]) * len(values) // size[0]]
    pixels = np.broadcast_to(columns, (size[1], size[0], *columns.shape[1:])).copy()
    made = Image.fromarray(pixels)
    if palette is not None:
        made.putpalette(np.array(palette, np.uint8).reshape(-1).tolist())
    made.save(path, **save)
    return pixels


def folder(root: Path, values, names=("a", "b"), **options) -> np.ndarray:
    for name in names:
        image(root / "images" / f"{name}.jpg")
        pixels = mask(root / "masks" / f"{name}.png", values, **options)
    return pixels


@pytest.mark.parametrize(
    ("image_name", "mask_name", "split"),
    [
        ("images/a.jpg", "masks/a.png", None),
        ("train/images/a.jpg", "train/masks/a.png", "train"),
        ("images/validation/a.jpg", "annotations/validation/a.png", "val"),
        ("test/a.png", "testannot/a.png", "test"),
        ("train/a_01.jpg", "train_masks/a_01_mask.gif", "train"),
        ("JPEGImages/a.jpg", "SegmentationClass/a.png", None),
        ("leftImg8bit/val/ulm/ulm_1_leftImg8bit.png", "gtFine/val/ulm/ulm_1_gtFine_labelIds.png", "val"),
        ("photos/a.jpg", "photos/a_mask.png", None),
        ("0001_6690.png", "0001_6690_L.png", None),
    ],
)
def test_the_usual_layouts_are_paired(tmp_path, image_name, mask_name, split):
    for stem in ("", "x"):
        image(tmp_path / (image_name if not stem else image_name.replace("a", "x").replace("1", "2")))
    image(tmp_path / image_name)
    mask(tmp_path / mask_name, [0, 1, 2])
    data = open_data(f"masks:{tmp_path}?classes=one+two+three")
    assert [item.name for item in data.items] == [image_name]
    assert list(data.splits) == ([split] if split else [])
    assert data.classes == ["one", "two", "three"] and data.truth == "masks"
    assert np.unique(data.items[0].mask.read()).tolist() == [0, 1, 2]


def test_a_dropped_folder_or_zip_with_masks_is_read_as_such(tmp_path):
    import zipfile

    folder(tmp_path / "set", [0, 255])
    assert open_data(f"folder:{tmp_path / 'set'}").truth == "masks"
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in (tmp_path / "set").rglob("*.*"):
            archive.write(file, file.relative_to(tmp_path))
    data = open_data(f"zip:{tmp_path / 'set.zip'}")
    assert data.truth == "masks" and len(data) == 2 and data.items[0].mask.read().max() == 1
    (tmp_path / "faces").mkdir()
    for name in ("with_mask", "without_mask"):  # classes of photos, whatever their names
        image(tmp_path / "faces" / name / "1.jpg")
    assert open_data(f"folder:{tmp_path / 'faces'}").truth == "labels"


def test_val_is_of_a_drive_that_train_has_not(tmp_path):
    for split, names in {"train": ("A1", "B1"), "val": ("A2",), "test": ("B2",)}.items():
        folder(tmp_path / split, [0, 1], names)

    def divided(beginnings: str) -> dict[str, list[str]]:
        data = open_data(f"masks:{tmp_path}?val={beginnings}")
        return {split: [Path(data.items[row].name).stem for row in rows] for split, rows in data.splits.items()}

    assert divided("A") == {"train": ["B1"], "val": ["A1", "A2"], "test": ["B2"]}
    assert divided("A2+B") == {"train": ["A1"], "val": ["B1", "A2"], "test": ["B2"]}
    for beginnings, message in {"C": "begins with 'C'", "A+B": "none is left for train", "": "begins with"}.items():
        with pytest.raises(DataError, match=message):
            divided(beginnings)


@pytest.mark.parametrize(
    ("values", "spec", "classes", "expected"),
    [
        ([0, 255], "", ["background", "foreground"], [0, 1]),
        ([0, 1], "", ["background", "foreground"], [0, 1]),
        ([0, 1, 255], "", ["background", "foreground"], [0, 1, VOID]),
        ([0, 3, 7], "", ["0", "3", "7"], [0, 1, 2]),
        ([0, 1, 2], "?ignore=0", ["1", "2"], [0, 1, VOID]),
        ([0, 1, 11], "?ignore=11&classes=camvid", 11, [0, 1, VOID]),
        ([7, 8, 0, 33], "?classes=cityscapes", 19, [0, 1, 18, VOID]),
    ],
)
def test_values_become_classes_without_gaps(tmp_path, values, spec, classes, expected):
    folder(tmp_path, values)
    data = open_data(f"masks:{tmp_path}{spec}")
    assert data.classes == classes if isinstance(classes, list) else len(data.classes) == classes
    assert np.unique(data.items[0].mask.read()).tolist() == expected


def test_palette_index_8_and_16_bits_give_the_same_map(tmp_path):
    palette = np.random.default_rng(0).integers(0, 255, (256, 3))
    kinds = {"grey": {}, "palette": {"palette": palette}, "deep": {"dtype": np.uint16}}
    maps = []
    for kind, options in kinds.items():
        folder(tmp_path / kind, [0, 2, 1], **options)
        maps.append(open_data(f"masks:{tmp_path / kind}").items[0].mask.read())
    assert all(np.array_equal(maps[0], other) for other in maps[1:]) and maps[0].dtype == np.uint8


def test_where_palettes_differ_colours_are_the_classes_and_it_is_said(tmp_path):
    colours = np.zeros((256, 3), int)
    colours[:2] = [[10, 0, 0], [0, 20, 0]]
    folder(tmp_path, [0, 1], names=["a"], palette=colours)
    folder(tmp_path, [1, 0], names=["b"], palette=colours[[1, 0, *range(2, 256)]])
    data = open_data(f"masks:{tmp_path}")
    assert np.array_equal(*(item.mask.read() for item in data.items))
    assert any("Palettes differ" in remark for remark in data.remarks)


TABLES = {
    "class_dict.csv": "name,r,g,b\nroad,128,64,128\ncar,0,0,142\nvoid,0,0,0\n",
    "label_colors.txt": "128 64 128\troad\n0 0 142\tcar\n0 0 0\tVoid\n",
    "labelmap.txt": "# label:color_rgb:parts:actions\nroad:128,64,128::\ncar:0,0,142::\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_colour_table_beside_the_masks_names_their_colours(tmp_path, name):
    folder(tmp_path, [[128, 64, 128], [0, 0, 142], [0, 0, 0]])
    (tmp_path / name).write_text(TABLES[name])
    data = open_data(f"masks:{tmp_path}")
    assert data.classes == ["road", "car"]
    assert data.items[0].mask.read()[0].tolist() == [0] * 4 + [1] * 4 + [VOID] * 4


def test_a_table_of_numbers_is_read_as_ade20k_writes_it(tmp_path):
    folder(tmp_path, [0, 1, 2])
    (tmp_path / "objectInfo150.txt").write_text("Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t0.15\t11\t11\t1\twall\n"
                                                "2\t0.1\t9\t9\t1\tbuilding, edifice\n")  # fmt: skip
    data = open_data(f"masks:{tmp_path}")
    assert data.classes == ["wall", "building"]
    assert np.unique(data.items[0].mask.read()).tolist() == [0, 1, VOID]


def test_unknown_values_are_named_and_void(tmp_path):
    folder(tmp_path, [0, 1, 9])
    data = open_data(f"masks:{tmp_path}?classes=one+two")
    assert any("9 (in 2 masks)" in remark for remark in data.remarks)
    assert np.unique(data.items[0].mask.read()).tolist() == [0, 1, VOID]


def test_what_has_no_partner_or_another_shape_is_left_out_by_name(tmp_path):
    folder(tmp_path, [0, 1], names=("a", "b", "c"))
    image(tmp_path / "images" / "lonely.jpg")
    mask(tmp_path / "masks" / "orphan.png", [0, 1])
    mask(tmp_path / "masks" / "b.png", [0, 1], size=(8, 12))
    mask(tmp_path / "masks" / "c.png", [0, 1], size=(24, 16))
    data = open_data(f"masks:{tmp_path}")
    reasons = {skip.name: skip.reason for skip in data.skipped}
    assert reasons["lonely.jpg"] == "it has no mask" and reasons["orphan.png"] == "this mask has no image"
    assert "8 x 12" in reasons["images/b.jpg"] and "12 x 8" in reasons["images/b.jpg"]
    said = " ".join(data.remarks)
    assert "1 images have no mask" in said and "1 masks have no image" in said and "24 x 16 for 12 x 8" in said
    assert [item.name for item in data.items] == ["images/a.jpg", "images/c.jpg"]


def test_jpeg_masks_are_black_and_white_or_refused(tmp_path):
    for name in "ab":
        image(tmp_path / "two" / "images" / f"{name}.png", size=(64, 64))
        mask(tmp_path / "two" / "masks" / f"{name}.jpg", [0, 255], size=(64, 64), quality=90)
        image(tmp_path / "many" / "images" / f"{name}.png", size=(64, 64))
        mask(tmp_path / "many" / "masks" / f"{name}.jpg", [0, 120, 130], size=(64, 64), quality=60)
    data = open_data(f"masks:{tmp_path / 'two'}")
    assert data.classes == ["background", "foreground"] and any("JPEG" in remark for remark in data.remarks)
    assert data.items[0].mask.read()[0].tolist() == [0] * 32 + [1] * 32
    with pytest.raises(DataError, match="as PNG"):
        open_data(f"masks:{tmp_path / 'many'}")


@pytest.mark.parametrize(
    ("values", "spec", "message"),
    [
        ([7], "", "one class only"),
        ([255], "", "one class only"),
        (list(range(300)), "", "more than the 255"),
        ([0, 1], "?classes=camvidd", "camvid"),
        ([5, 6], "?classes=a+b", "no value of the masks is a class"),
        ([0, 1], "?ignore=x", "whole numbers"),
        ([0, 1], "?masks=nowhere", "no image file is below"),
    ],
)
def test_what_can_not_be_classes_is_refused_in_a_sentence(tmp_path, values, spec, message):
    folder(tmp_path, values, size=(300, 8) if len(values) > 12 else SIZE, dtype=np.uint16)
    if len(values) > 12:
        for name in "ab":
            image(tmp_path / "images" / f"{name}.jpg", size=(300, 8))
    with pytest.raises(DataError, match=message):
        open_data(f"masks:{tmp_path}{spec}")


def test_a_mask_too_large_to_decode_is_left_out_before_it_is(tmp_path):
    from dataclasses import replace

    folder(tmp_path, [0, 1], names=("a", "b"))
    image(tmp_path / "images" / "b.jpg", size=(40, 40))
    mask(tmp_path / "masks" / "b.png", [0, 1], size=(400, 400))
    data = open_data(f"masks:{tmp_path}", replace(LIMITS, pixels=10_000))
    assert len(data) == 1 and any("too many pixels" in skip.reason for skip in data.skipped)


def test_a_voc_folder_has_its_classes_and_lists(tmp_path):
    for name in "abc":
        image(tmp_path / "JPEGImages" / f"{name}.jpg")
        mask(tmp_path / "SegmentationClass" / f"{name}.png", [0, 15, 255])
        mask(tmp_path / "SegmentationObject" / f"{name}.png", [0, 1, 255])
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for name, text in (("train", "a\n"), ("val", "b\n"), ("trainval", "a\nb\n")):
        (lists / f"{name}.txt").write_text(text)
    data = open_data(f"masks:{tmp_path}")
    assert len(data) == 2 and {name: len(rows) for name, rows in data.splits.items()} == {"train": 1, "val": 1}
    assert data.classes[15] == "person" and np.unique(data.items[0].mask.read()).tolist() == [0, 15, VOID]


def coco_file(root: Path, annotations) -> Path:
    image(root / "images" / "a.jpg", size=(20, 10))
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 20, "height": 10}],
        "categories": [{"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": [{"id": i, "image_id": 1, **one} for i, one in enumerate(annotations)],
    }
    (root / "a.json").write_text(json.dumps(content))
    return root / "a.json"


def test_coco_outlines_and_run_lengths_equal_pycocotools(tmp_path):
    from pycocotools import mask as peer

    inside = np.zeros((10, 20), bool)
    inside[2:5, 12:18] = True
    packed = peer.encode(np.asfortranarray(inside.astype(np.uint8)))["counts"].decode()
    runs = np.diff(np.flatnonzero(np.diff(np.r_[2, inside.T.reshape(-1), 2])))
    plain = [0, *runs.tolist()] if inside[0, 0] else runs.tolist()
    polygon = [1.0, 1.0, 9.0, 1.5, 6.0, 8.0]
    shapes = [
        {"category_id": 9, "segmentation": [polygon]},
        {"category_id": 3, "segmentation": {"size": [10, 20], "counts": packed}},
    ]
    data = open_data(f"masks:{coco_file(tmp_path, shapes)}?images={tmp_path / 'images'}")
    expected = 2 * peer.decode(peer.frPyObjects([polygon], 10, 20))[..., 0]
    expected[inside] = 1
    assert data.classes == ["background", "cat", "dog"]
    np.testing.assert_array_equal(data.items[0].mask.read(), expected)
    shapes[1]["segmentation"] = {"size": [10, 20], "counts": plain}
    again = open_data(f"masks:{coco_file(tmp_path, shapes)}?images={tmp_path / 'images'}")
    np.testing.assert_array_equal(again.items[0].mask.read(), expected)


@pytest.mark.parametrize(
    "shape",
    [
        [[1, 1, 2]], [[1, 1, float("nan"), 2, 3, 3]], [], None, "xx", {"size": [10, 20], "counts": [5, 5]},
        {"size": [20, 10], "counts": "zz"}, {"size": [10, 20], "counts": [-1, 201]}, [["a", 1, 2, 2, 3, 3]],
    ],
    ids=str,
)  # fmt: skip
def test_outlines_that_are_none_are_left_out_by_name(tmp_path, shape):
    good = {"category_id": 9, "segmentation": [[1, 1, 1e9, 1, 9, 8]]}  # far outside: cut at the edge
    data = open_data(f"masks:{coco_file(tmp_path, [good, {'category_id': 3, 'segmentation': shape}])}"
                     f"?images={tmp_path / 'images'}")  # fmt: skip
    assert [skip.name for skip in data.skipped] == ["a.jpg, outline 2"]
    assert np.unique(data.items[0].mask.read()).tolist() == [0, 2]


def test_a_category_called_background_is_the_background(tmp_path):
    file = coco_file(tmp_path, [{"category_id": 9, "segmentation": [[1, 1, 9, 1, 9, 8]]}])
    file.write_text(file.read_text().replace('"cat"', '"Background"'))
    data = open_data(f"masks:{file}?images={tmp_path / 'images'}")
    assert data.classes == ["background", "dog"] and np.unique(data.items[0].mask.read()).tolist() == [0, 1]


def test_a_mask_is_turned_with_its_image(tmp_path):
    from PIL import ImageOps

    values = np.arange(6).reshape(2, 3)
    for orientation in range(1, 9):
        stored = Image.fromarray(values.astype(np.uint8))
        exif = stored.getexif()
        exif[274] = orientation
        stored.save(tmp_path / "x.png", exif=exif)
        with Image.open(tmp_path / "x.png") as opened:
            np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(opened)), upright_map(values, orientation))


def test_classes_of_joined_sets_are_merged_by_name(tmp_path):
    folder(tmp_path / "one", [0, 1])
    folder(tmp_path / "two", [0, 1])
    first, second = f"masks:{tmp_path / 'one'}?classes=road+car", f"masks:{tmp_path / 'two'}?classes=car+sky"
    data = open_data(f"{first},{second}")
    assert data.classes == ["road", "car", "sky"]
    assert [np.unique(item.mask.read()).tolist() for item in data.items] == [[0, 1], [0, 1], [1, 2], [1, 2]]


def test_data_check_counts_pixels_and_says_what_is_odd(tmp_path):
    folder(tmp_path, [0, 1, 255], names=("a", "b", "c"))
    report = check(f"masks:{tmp_path}?classes=road+car+sky")
    assert report.truth == "masks" and report.classes == {"road": 96, "car": 96, "sky": 0}
    assert report.masks["void"] == pytest.approx(1 / 3, abs=1e-4) and report.masks["images"]["car"] == 3
    said = " ".join(report.problems)
    assert "Classes without a pixel: sky" in said and "fewer than 5 images: road (3), car (3)" in said
    assert report.learns == "2 classes of pixels in 3 images; never: sky"


def test_scenes_have_masks_in_all_looks():
    clear, fog = (open_data(f"builtin:scenes?images=2&truth=masks&look={look}&size=96") for look in ("clear", "fog"))
    assert clear.classes[0] == "background" and clear.truth == "masks" and not clear.boxed
    np.testing.assert_array_equal(clear.items[1].mask.read(), fog.items[1].mask.read())
    scene = clear.items[0].source
    union = np.zeros((96, 96), np.uint8)
    for inside, thing in zip(scene.masks(), scene.things, strict=True):
        union[inside] = thing.label + 1
    np.testing.assert_array_equal(clear.items[0].mask.read(), union)
    with pytest.raises(DataError, match="expected boxes, masks"):
        open_data("builtin:scenes?truth=none")


@pytest.mark.parametrize("spec", ["masks:{}", "gta5:{}"])
def test_masks_of_40_000_pixels_a_side_are_refused_by_their_header(tmp_path, spec):
    for stem in ("a", "b"):
        image(tmp_path / "images" / f"{stem}.png")
        mask(tmp_path / "labels" / f"{stem}.png", [7, 8])
    huge = bytearray((tmp_path / "labels" / "b.png").read_bytes())
    huge[16:24] = (40_000).to_bytes(4, "big") * 2
    huge[29:33] = zlib.crc32(bytes(huge[12:29])).to_bytes(4, "big")
    (tmp_path / "labels" / "b.png").write_bytes(huge)
    data = open_data(spec.format(tmp_path))
    assert len(data) == 1 and "too many pixels (1,600,000,000; at most" in data.skipped[0].reason
    assert "b.png" in data.skipped[0].name
    (tmp_path / "labels" / "a.png").write_bytes(huge)
    with pytest.raises(DataError, match="too many pixels .1,600,000,000|masks that were looked at can be read"):
        open_data(spec.format(tmp_path))
