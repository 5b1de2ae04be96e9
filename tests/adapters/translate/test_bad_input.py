"""Images that are not as expected: a sentence before training, or an image that is learned from all the same."""

import numpy as np
import pytest
from inline_runs import work
from PIL import Image
from small_translations import changed

from studio.core.errors import DataError
from studio.data import open_data

DRAW = np.random.default_rng(0)


def written(folder, count: int, mode: str = "RGB", size=(40, 36), first: int = 0, kind: str = "png"):
    """A folder of random images; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    channels = {"RGB": 3, "RGBA": 4, "L": 1, "I;16": 1}[mode]
    for number in range(first, first + count):
        shape = (size[1] + number, size[0] - number) + ((channels,) if channels > 1 else ())
        pixels = DRAW.integers(0, 65536 if mode == "I;16" else 256, shape, dtype=np.uint16)
        image = Image.fromarray(pixels if mode == "I;16" else pixels.astype(np.uint8))
        image.save(folder / f"{number}.{kind}")
    return folder


def notes(run) -> str:
    return " ".join(event["message"] for event in run.events() if event["kind"] in ("note", "warning"))


def test_one_image_is_no_look(home, tmp_path):
    source, target = written(tmp_path / "a", 1), written(tmp_path / "b", 6)
    data = {"source": f"images:{source}", "target": f"images:{target}"}
    _, result = work(changed(method="translate/fastcut", data=data), home)
    assert result.status == "failed" and "data.source" in result.error and "at least four" in result.error


def test_odd_sizes_alpha_and_16_bits_are_learned_from_and_told(home, tmp_path):
    source = written(tmp_path / "a", 3, "RGBA", (41, 35))
    written(source, 3, "I;16", (77, 33), first=3)
    target = written(tmp_path / "b", 5, "L", (33, 90))
    (target / "torn.png").write_bytes((target / "0.png").read_bytes()[:60])
    data = {"source": f"images:{source}", "target": f"images:{target}"}
    run, result = work(changed(method="translate/fastcut", data=data, train={"max_steps": 1, "batch_size": 2}), home)
    assert result.status == "finished", result.error
    said = notes(run)
    assert "more than 8 bits" in said and "put on white" in said and "torn.png" in said


def test_a_pair_of_other_shapes_is_left_out_and_named(home, tmp_path):
    written(tmp_path / "a", 6), written(tmp_path / "b", 5)
    Image.new("RGB", (90, 36)).save(tmp_path / "b" / "5.png")
    data = {"train": f"pairs:{tmp_path}?a=a&b=b"}
    run, result = work(changed(data=data, train={"max_steps": 1}), home)
    assert result.status == "finished", result.error
    assert "5.png" in notes(run) and "other shapes" in notes(run)


def test_pairs_are_found_by_name_in_splits_and_side_by_side(tmp_path):
    for split in ("train", "test"):
        written(tmp_path / "rs" / split / "ir", 3), written(tmp_path / "rs" / split / "vis", 2, kind="jpg")
    data = open_data(f"pairs:{tmp_path / 'rs'}?a=ir&b=vis")
    assert data.paired and {name: len(rows) for name, rows in data.splits.items()} == {"test": 2, "train": 2}
    assert [skip.name for skip in data.skipped] == ["test/ir/2.png", "train/ir/2.png"]
    both = open_data(f"pairs:{written(tmp_path / 'both', 2)}?a=right&b=left").items[0]
    whole = np.asarray(Image.open(tmp_path / "both" / "0.png"))
    assert np.array_equal(both.source.read(), whole[:, 20:]) and np.array_equal(both.pair.read(), whole[:, :20])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pairs:{0}?a=one", "b= is missing"),
        ("pairs:{0}?a=one&b=tow", "no folder 'tow'.*two"),
        ("pairs:{0}?a=one&b=one", "two looks"),
        ("pairs:{0}?a=one&b=other", "no image .* has its pair"),
        ("images:{0}/none", "none"),
        ("images:{0}/one/0.png", "a file"),
        ("images:{0}/mixed", "beside train/"),
    ],
)
def test_what_holds_no_looks_is_refused_with_what_would_be_right(tmp_path, spec, message):
    written(tmp_path / "one", 2), written(tmp_path / "two", 2), written(tmp_path / "other", 2, first=7)
    written(tmp_path / "mixed", 1), written(tmp_path / "mixed" / "train", 1)
    with pytest.raises(DataError, match=message):
        open_data(spec.format(tmp_path))
