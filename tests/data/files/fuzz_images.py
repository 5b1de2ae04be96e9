"""Made-up image files of every format, mode, size and EXIF orientation, held against a slow reader.

A module for `benchmarks/fuzz_readers.py`: `CASES` maps a name to (strategy, function of (folder, drawn value)). The
slow reader knows the values that went into the file; it turns them upright and into RGB pixel by pixel, by the words of
the EXIF standard and of the formats, with nothing of Pillow.
"""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from studio.data import open_data, read_image
from studio.data.files.images import BadImage, inspect_image, kind_of, range_of, upright
from studio.data.items import FileSource

MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"),
    "WEBP": ("RGB", "RGBA"), "BMP": ("1", "L", "P", "RGB"), "PPM": ("1", "L", "RGB", "I;16"), "GIF": ("L", "P"),
    "JPEG": ("L", "RGB", "CMYK"), "AVIF": ("RGB", "RGBA"),
}  # fmt: skip
SAVED = {"WEBP": {"lossless": True, "exact": True}, "JPEG": {"quality": 100, "subsampling": 0},
         "AVIF": {"quality": 100, "subsampling": "4:4:4", "speed": 10}}  # fmt: skip
WITH_EXIF = ("PNG", "TIFF", "WEBP", "JPEG", "AVIF")
OFF_BY = {"JPEG": 6, "AVIF": 6}  # grey levels that a lossy format may be off
CHANNELS = {"LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}
#: where the first row and the first column of the stored image lie in the upright one (EXIF 2.32, tag 274)
SIDES = {1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left", 5: "left top", 6: "right top",
         7: "right bottom", 8: "left bottom"}  # fmt: skip
SUFFIX = {"PPM": ".ppm", "JPEG": ".jpg", "TIFF": ".tif"}

images = st.fixed_dictionaries({
    "kind": st.sampled_from(list(MODES)),
    "mode": st.integers(0, 20),  # of those that the format has
    "size": st.one_of(st.tuples(st.integers(1, 24), st.integers(1, 24)), st.just((190, 130))),
    "orientation": st.integers(0, 9),
    "range": st.sampled_from([(0, 1), (0, 255), (100, 4095), (0, 65535), (-300, 70000)]),
    "late": st.booleans(),  # the EXIF of a PNG behind its pixels
    "clear": st.booleans(),  # one palette entry, level or colour is transparent
    "seed": st.integers(0, 999),
})  # fmt: skip


def stored_values(drawn: dict[str, Any], mode: str) -> np.ndarray:
    """The values to be stored, [H, W] or [H, W, C], in the type of the mode."""
    width, height = drawn["size"]
    shape = (height, width, CHANNELS[mode]) if mode in CHANNELS else (height, width)
    numbers = np.random.default_rng(drawn["seed"])
    if mode in ("I;16", "I", "F"):
        low, high = drawn["range"]
        if mode == "F":
            return (low + (high - low) * numbers.random(shape)).astype(np.float32)
        low, high = (max(low, 0), min(high, 65535)) if mode == "I;16" else (low, high)
        return numbers.integers(low, high + 1, shape).astype(np.uint16 if mode == "I;16" else np.int32)
    return numbers.integers(0, 2 if mode == "1" else 256, shape).astype(np.uint8)


def palette_of(drawn: dict[str, Any]) -> np.ndarray:
    return np.random.default_rng(drawn["seed"] + 1).integers(0, 256, (256, 3)).astype(np.uint8)


def encoded(drawn: dict[str, Any], mode: str, values: np.ndarray) -> bytes:
    """The file."""
    kind = drawn["kind"]
    if mode == "1":
        image = Image.fromarray(values * 255).convert("1", dither=Image.Dither.NONE)
    elif mode in ("P", "CMYK", "LA"):
        image = Image.frombytes(mode, drawn["size"], values.tobytes())
    else:
        image = Image.fromarray(values)
    options = dict(SAVED.get(kind, {}))
    if mode == "P":
        image.putpalette(palette_of(drawn).tobytes())
    if is_clear(drawn, mode):
        first = values[0, 0]
        options["transparency"] = tuple(map(int, first)) if mode == "RGB" else int(first)
    if kind in WITH_EXIF and drawn["orientation"]:
        exif = Image.Exif()
        exif[0x0112] = drawn["orientation"]
        options["exif"] = exif
    out = io.BytesIO()
    image.save(out, kind, **options)
    return behind_pixels(out.getvalue()) if kind == "PNG" and drawn["late"] else out.getvalue()


def is_clear(drawn: dict[str, Any], mode: str) -> bool:
    return drawn["clear"] and drawn["kind"] == "PNG" and mode in ("L", "P", "RGB")


def behind_pixels(png: bytes) -> bytes:
    """A PNG whose eXIf chunk stands right before its end."""
    chunks, place = [], 8
    while place < len(png):
        length = struct.unpack(">I", png[place : place + 4])[0]
        chunks.append(png[place : place + 12 + length])
        place += 12 + length
    late = [chunk for chunk in chunks if chunk[4:8] == b"eXIf"]
    assert all(zlib.crc32(chunk[4:-4]) == struct.unpack(">I", chunk[-4:])[0] for chunk in chunks)
    early = [chunk for chunk in chunks if chunk[4:8] != b"eXIf"]
    return png[:8] + b"".join(early[:-1] + late + early[-1:])


def as_rgb(value: Any, drawn: dict[str, Any], mode: str, low: float, high: float, clear: Any) -> tuple[float, ...]:
    """One pixel in RGB: transparent on white, ink subtracted, more than 8 bits by their range."""
    if clear is not None and np.array_equal(value, clear):
        return (255.0, 255.0, 255.0)
    if mode == "1":
        return (255.0 * int(value),) * 3
    if mode == "L":
        return (float(value),) * 3
    if mode == "P":
        return tuple(map(float, drawn["palette"][int(value)]))
    if mode in ("LA", "RGBA"):
        *colours, alpha = map(float, value)
        on_white = [colour * alpha / 255 + 255 - alpha for colour in colours]
        return tuple(on_white * 3 if mode == "LA" else on_white)
    if mode == "CMYK":
        *inks, key = map(float, value)
        return tuple((255 - ink) * (255 - key) / 255 for ink in inks)
    if mode in ("I;16", "I", "F"):
        return ((float(value) - low) / max(high - low, 1e-12) * 255,) * 3
    return tuple(map(float, value))


def levels(values: np.ndarray, mode: str) -> tuple[float, float]:
    """What is black and white among values of more than 8 bits, as docs and `data check` say it."""
    low, high = float(values.min()), float(values.max())
    if mode.startswith("I") and low >= 0 and high <= 65535:
        return 0.0, 4095.0 if high < 4096 else 65535.0
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def slowly(drawn: dict[str, Any], mode: str, values: np.ndarray) -> np.ndarray:
    """The upright RGB image, float [H, W, 3]."""
    rows, columns = values.shape[:2]
    turned = drawn["orientation"] if drawn["kind"] in WITH_EXIF and drawn["orientation"] in SIDES else 1
    row_side, column_side = SIDES[turned].split()
    lying = row_side in ("left", "right")
    out = np.zeros((columns, rows, 3) if lying else (rows, columns, 3))
    low, high = levels(values, mode) if mode in ("I;16", "I", "F") else (0.0, 255.0)
    clear = values[0, 0] if is_clear(drawn, mode) else None
    for row in range(rows):
        along_rows = row if row_side in ("top", "left") else rows - 1 - row
        for column in range(columns):
            along_columns = column if column_side in ("left", "top") else columns - 1 - column
            place = (along_columns, along_rows) if lying else (along_rows, along_columns)
            out[place] = as_rgb(values[row, column], drawn, mode, low, high, clear)
    return out


def image_right(folder: Path, drawn: dict[str, Any]) -> None:
    """A file is the image that the slow reader sees, at the size that its header promises, whatever its suffix."""
    modes = MODES[drawn["kind"]]
    mode = modes[drawn["mode"] % len(modes)]
    drawn = drawn | {"palette": palette_of(drawn)}
    values = stored_values(drawn, mode)
    raw = encoded(drawn, mode, values)
    folder.mkdir(parents=True)
    path = folder / f"a{SUFFIX.get(drawn['kind'], '.' + drawn['kind'].lower())}"
    path.write_bytes(raw)
    expected, source = slowly(drawn, mode, values), FileSource(path)
    seen = read_image(source)
    off_by = OFF_BY.get(drawn["kind"], 1) * (2 if mode == "CMYK" and drawn["kind"] == "JPEG" else 1)
    assert seen.mode == "RGB" and seen.size == expected.shape[1::-1], (mode, seen.size, expected.shape)
    difference = np.abs(np.asarray(seen, float) - expected).max()
    assert difference <= off_by, (drawn["kind"], mode, drawn["orientation"], difference)
    size, orientation = upright(source, path.name)
    assert size == seen.size
    stored = inspect_image(source, path.name)
    if drawn["kind"] != "TIFF":  # whose header Pillow gives upright
        assert stored == drawn["size"]
        assert size == (stored[::-1] if orientation >= 5 else stored)
    assert kind_of(source) == drawn["kind"]
    assert (range_of(raw, path.name) is not None) == (mode in ("I;16", "I", "F"))
    small = read_image(source, min_side=4)
    assert min(small.size) >= min(8, *seen.size)
    assert abs(small.width * seen.height - small.height * seen.width) <= max(seen.size)


def image_odd(folder: Path, drawn: tuple[dict[str, Any], list[tuple[int, bytes]], int]) -> None:
    """A damaged file is an image or a BadImage, by every door, and a set with it says so."""
    image, changes, cut = drawn
    modes = MODES[image["kind"]]
    mode = modes[image["mode"] % len(modes)]
    raw = bytearray(encoded(image, mode, stored_values(image, mode)))
    for place, part in changes:
        raw[place % len(raw) : place % len(raw) + len(part)] = part
    (folder / "cat").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(folder / "cat" / "good.png")
    path = folder / "cat" / "a.bin"
    path.write_bytes(bytes(raw[: max(len(raw) - cut, 0)]))
    source = FileSource(path)
    for door in (
        read_image,
        lambda s: upright(s, "a"),
        lambda s: inspect_image(s, "a"),
        lambda s: read_image(s, min_side=2),
    ):
        try:
            door(source)
        except BadImage as error:
            assert error.reason
    names = {item.name for item in open_data(f"folder:{folder}").items}
    assert "cat/good.png" in names


damage = st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=8)), max_size=4)
CASES = {
    "image right": (images, image_right),
    "image odd": (st.tuples(images, damage, st.one_of(st.just(0), st.integers(0, 300))), image_odd),
}
