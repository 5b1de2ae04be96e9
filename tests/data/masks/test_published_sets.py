"""Each published set is read from a small made-up tree of its layout, by its published label map."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.core.errors import DataError
from studio.data import check, open_data
from studio.data.masks.class_map import VOID
from studio.data.masks.tables import CITYSCAPES, SUBSETS
from studio.data.readers.ade20k import NAMES
from studio.metrics.segmentation import confusion_of, scores_of

TRAIN_IDS = list(CITYSCAPES.values())


def image(path: Path, pixels: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6, 3), 90, np.uint8) if pixels is None else pixels).save(path)


def mask(path: Path, *values: int) -> None:
    """A mask of 4 x 6 pixels that begins with these values and has the first everywhere else."""
    pixels = np.full((4, 6), values[0], np.uint8)
    pixels.reshape(-1)[: len(values)] = values
    image(path, pixels)


def deep(path: Path, channels: np.ndarray) -> None:
    """A PNG of channels [H, W, 3], 16 bits each, which Pillow does not write."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = channels.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in channels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def first(data, row: int = 0, count: int = 4) -> list[int]:
    """The classes of the first pixels of a mask."""
    return data.items[row].mask.read().reshape(-1)[:count].tolist()


def cityscapes(root: Path, images: str = "leftImg8bit", ending: str = "") -> None:
    for split, name in (("train", "aachen_000000_000019"), ("val", "ulm_000000_000001"), ("test", "bonn_000_000")):
        city = name.split("_")[0]
        image(root / images / split / city / f"{name}_{images}{ending}.png")
        mask(root / "gtFine" / split / city / f"{name}_gtFine_labelIds.png", 0, 7, 33, 18)
        mask(root / "gtFine" / split / city / f"{name}_gtFine_labelTrainIds.png", 255, 0, 18, 255)
        mask(root / "gtFine" / split / city / f"{name}_gtFine_instanceIds.png", 9)


def test_cityscapes_and_its_fog_have_19_of_the_label_ids(tmp_path):
    cityscapes(tmp_path / "clear")
    cityscapes(tmp_path / "foggy", "leftImg8bit_foggy", "_beta_0.02")
    cityscapes(tmp_path / "foggy", "leftImg8bit_foggy", "_beta_0.01")
    for spec in (f"cityscapes:{tmp_path / 'clear'}", f"cityscapes:{tmp_path / 'foggy'}?fog=0.02"):
        data = open_data(spec)
        assert data.classes == TRAIN_IDS and data.splits == {"train": [0], "val": [1]}
        assert first(data) == [VOID, 0, 18, VOID]
        assert any("1 of 2,975 train, 1 of 500 val" in remark for remark in data.remarks)
    assert "beta_0.02" in data.items[0].name
    with pytest.raises(DataError, match="has 0.005, 0.01, 0.02"):
        open_data(f"cityscapes:{tmp_path / 'foggy'}?fog=1")
    with pytest.raises(DataError, match="does not hold Foggy Cityscapes .beta 0.005"):
        open_data(f"cityscapes:{tmp_path / 'foggy'}?fog=0.005")


def test_the_index_into_gta5_s_palette_is_the_label_id(tmp_path):
    image(tmp_path / "images" / "00001.png")
    palette = np.random.default_rng(0).integers(0, 255, 768)  # whose colours mean nothing here
    stored = Image.fromarray(np.array([[0, 7, 8, 11, 34, 26]] * 4, np.uint8))
    stored.putpalette(palette.tolist())
    (tmp_path / "labels").mkdir()
    stored.save(tmp_path / "labels" / "00001.png")
    data = open_data(f"gta5:{tmp_path}")
    assert data.classes == TRAIN_IDS and first(data, count=6) == [VOID, 0, 1, 2, VOID, 13] and not data.splits
    Image.open(tmp_path / "labels" / "00001.png").convert("RGB").save(tmp_path / "labels" / "00001.png")
    with pytest.raises(DataError, match="the table of classes has numbers, but the masks hold colours"):
        open_data(f"gta5:{tmp_path}")


def test_synthia_s_class_is_the_red_of_16_bits(tmp_path):
    published = {3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7, 6: 8, 1: 10, 10: 11, 17: 12, 8: 13, 19: 15, 12: 17}
    published |= {11: 18, 0: VOID, 13: VOID, 14: VOID, 16: VOID, 18: VOID, 20: VOID, 22: VOID}
    channels = np.zeros((4, 6, 3), np.uint16)
    channels.reshape(-1, 3)[: len(published), 0] = list(published)
    channels[..., 1] = 300  # the instance
    image(tmp_path / "RGB" / "0000000.png")
    deep(tmp_path / "GT" / "LABELS" / "0000000.png", channels)
    data = open_data(f"synthia:{tmp_path}")
    assert data.classes == TRAIN_IDS and first(data, count=len(published)) == list(published.values())


def test_miou_over_16_classes_is_that_over_19_times_19_16():
    """Where terrain, truck and train are in the truth and never met: DAFormer's authors, of a 51 that was 60.9."""
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 19, (40, 50)).astype(np.uint8)
    missing = [TRAIN_IDS.index(name) for name in ("terrain", "truck", "train")]
    guess = np.where(draw.random(truth.shape) < 0.7, truth, draw.integers(0, 19, truth.shape)).astype(np.uint8)
    guess[np.isin(guess, missing)] = 0
    matrix = confusion_of(truth, guess, 19)
    sixteen = [TRAIN_IDS.index(name) for name in SUBSETS["synthia-16"]]
    assert set(range(19)) - set(sixteen) == set(missing) and len(SUBSETS["synthia-13"]) == 13
    assert scores_of(matrix, "mmseg", sixteen).miou == pytest.approx(scores_of(matrix).miou * 19 / 16, rel=1e-12)


def test_both_layouts_of_bdd100k_hold_train_ids(tmp_path):
    for split in ("train", "val"):
        image(tmp_path / "new" / "bdd100k" / "images" / "10k" / split / "a.jpg")
        mask(tmp_path / "new" / "bdd100k" / "labels" / "sem_seg" / "masks" / split / "a.png", 0, 18, 255)
        image(tmp_path / "old" / "seg" / "images" / split / "a.jpg")
        mask(tmp_path / "old" / "seg" / "labels" / split / "a_train_id.png", 0, 18, 255)
    for name in ("new", "old"):
        data = open_data(f"bdd100k:{tmp_path / name}")
        assert data.splits == {"train": [0], "val": [1]} and first(data) == [0, 18, VOID, 0]


def test_acdc_s_conditions_are_domains_and_its_clear_references_are_left_out(tmp_path):
    for condition in ("fog", "night"):
        for split in ("train", "val", "test", "train_ref"):
            name = tmp_path / "rgb_anon" / condition / split / "GOPR0475" / "GOPR0475_frame_000247_rgb_anon.png"
            image(name)
            if split in ("train", "val"):
                truth = str(name).replace("_rgb_anon.png", "_gt_labelTrainIds.png").replace("/rgb_anon/", "/gt/")
                mask(Path(truth), 1, 255, 18)
    data = open_data(f"acdc:{tmp_path}")
    assert [item.domain for item in data.items] == ["fog", "fog", "night", "night"] and first(data) == [1, VOID, 18, 1]
    night = open_data(f"acdc:{tmp_path}?condition=night")
    assert len(night) == 2 and any("1 of 400 train, 1 of 106 val" in remark for remark in night.remarks)
    with pytest.raises(DataError, match="no such condition. Did you mean 'snow'"):
        open_data(f"acdc:{tmp_path}?condition=snoww")


def test_dark_zurich_has_nights_to_adapt_to_and_some_to_judge_by(tmp_path):
    stem = "GOPR0356/GOPR0356_frame_000321"
    for split, hour in (("train", "night"), ("train", "day"), ("val", "night")):
        image(tmp_path / "rgb_anon" / split / hour / f"{stem}_rgb_anon.png")
    mask(tmp_path / "gt" / "val" / "night" / f"{stem}_gt_labelTrainIds.png", 3, 255)
    data = open_data(f"darkzurich:{tmp_path}")
    assert data.splits == {"train": [0], "val": [1]} and first(data, 1) == [3, VOID, 3, 3]
    assert (data.items[0].mask.read() == VOID).all() and data.items[0].mask.read().shape == (4, 6)
    assert any("1 images have no public truth" in remark for remark in data.remarks)


def test_camvid_s_11_is_void_in_either_layout(tmp_path):
    for split in ("train", "val", "test"):
        image(tmp_path / "segnet" / split / "a.png")
        mask(tmp_path / "segnet" / f"{split}annot" / "a.png", 0, 10, 11)
        image(tmp_path / "folders" / split / "images" / "a.jpg")
        mask(tmp_path / "folders" / split / "masks" / "a.png", 0, 10, 11)
    for name in ("segnet", "folders"):
        data = open_data(f"camvid:{tmp_path / name}")
        assert len(data.classes) == 11 and sorted(data.splits) == ["test", "train", "val"]
        assert first(data) == [0, 10, VOID, 0]
    image(tmp_path / "segnet" / "train" / "b.png")
    mask(tmp_path / "segnet" / "trainannot" / "b.png", 0, 10, 11)
    data = open_data(f"camvid:{tmp_path / 'segnet'}?val=b")
    assert {split: [data.items[row].name[-5] for row in rows] for split, rows in data.splits.items()} == {
        "train": ["a", "a"],
        "val": ["b"],
        "test": ["a"],
    }


def test_ade20k_in_both_forms_has_the_150_classes(tmp_path):
    assert len(set(NAMES)) == 150
    image(tmp_path / "parse" / "images" / "training" / "ADE_train_1.jpg")
    mask(tmp_path / "parse" / "annotations" / "training" / "ADE_train_1.png", 0, 1, 150)
    data = open_data(f"ade20k:{tmp_path / 'parse'}")
    assert data.classes == list(NAMES) and first(data) == [VOID, 0, 149, VOID] and data.splits == {"train": [0]}
    place = tmp_path / "full" / "images" / "ADE" / "training" / "urban" / "street"
    objects = [(2978, "wall"), (312, "building, edifice"), (1702, "parapet")]
    colours = np.array([[(number // 256 * 10, number % 256, 7) for number, _ in objects] * 2] * 4, np.uint8)
    image(place / "ADE_train_1.jpg")
    image(place / "ADE_train_1_seg.png", colours)
    listed = [{"name_ndx": number, "name": name} for number, name in objects]
    (place / "ADE_train_1.json").write_text(json.dumps({"annotation": {"object": listed}}))
    data = open_data(f"ade20k:{tmp_path / 'full'}")
    assert data.classes == list(NAMES) and first(data, count=3) == [0, 1, VOID]
    (place / "ADE_train_1.json").write_text("{}")
    assert "does not name its objects" in " ".join(check(f"ade20k:{tmp_path / 'full'}").problems)


def test_voc_with_masks_counts_what_was_published(tmp_path):
    root = tmp_path / "VOC2012"
    for stem in ("a", "b"):
        image(root / "JPEGImages" / f"{stem}.jpg")
        mask(root / "SegmentationClass" / f"{stem}.png", 0, 20, 255)
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    for split, stem in (("train", "a"), ("val", "b"), ("trainval", "a\nb")):
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(stem)
    data = open_data(f"voc:{root}?truth=masks")
    assert len(data.classes) == 21 and data.splits == {"train": [0], "val": [1]} and first(data) == [0, 20, VOID, 0]
    assert any("1 of 1,464 train, 1 of 1,449 val" in remark for remark in data.remarks)
    with pytest.raises(DataError, match="expected masks or boxes"):
        open_data(f"voc:{root}?truth=mask")


@pytest.mark.parametrize(
    "scheme", ["cityscapes", "gta5", "synthia", "ade20k", "bdd100k", "acdc", "darkzurich", "camvid"]
)
def test_a_missing_set_gets_instructions(tmp_path, scheme):
    for place, what in ((tmp_path / "nowhere", "There is no folder"), (tmp_path, "does not hold")):
        with pytest.raises(DataError, match=rf"{what}.*comes from .* GB.*images belong at .*masks at"):
            open_data(f"{scheme}:{place}")
    with pytest.raises(DataError, match="VOC comes from .* 2 GB"):
        open_data(f"voc:{tmp_path / 'VOC2012'}")


def test_masks_of_another_shape_and_images_without_one_are_named(tmp_path):
    for stem in ("1", "2", "3"):
        image(tmp_path / "images" / f"{stem}.png")
    mask(tmp_path / "labels" / "1.png", 7, 8)
    image(tmp_path / "labels" / "2.png", np.full((9, 3), 7, np.uint8))
    data = open_data(f"gta5:{tmp_path}")
    assert [item.name for item in data.items] == ["images/1.png"]
    assert {skip.name: skip.reason for skip in data.skipped} == {
        "images/2.png": "its mask is of 3 x 9 pixels, the image of 6 x 4",
        "images/3.png": "it has no mask",
    }


def test_masks_of_a_published_set_are_read_when_they_are_asked_for(tmp_path, monkeypatch):
    from studio.data.masks import mask_files, meaning

    for number in range(40):
        image(tmp_path / "images" / f"{number:05}.png")
        mask(tmp_path / "labels" / f"{number:05}.png", 7, 8)
    read = []
    stored = mask_files.read_values

    def counting(source, name, *rest):
        read.append(name)
        return stored(source, name, *rest)

    monkeypatch.setattr(mask_files, "read_values", counting)
    monkeypatch.setattr(meaning, "read_values", counting)
    data = open_data(f"gta5:{tmp_path}")
    assert len(data) == 40 and len(read) == 12
    data.items[3].mask.read()
    assert len(read) == 13
