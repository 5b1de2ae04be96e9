"""JPEGs past Pillow: the same sizes, the same pixels, and whatever is unusual left to it."""

import io

import numpy as np
import pytest
from PIL import Image

from studio.data.files.images import BadImage, read_image, read_pixels
from studio.data.files.jpeg_header import jpeg_header
from studio.data.files.limits import Limits


def jpeg(draw, mode="RGB", **options):
    width, height = draw.integers(1, 60, 2)
    small = Image.fromarray(draw.integers(0, 255, (7, 9, 3), np.uint8)).resize((int(width), int(height)))
    file = io.BytesIO()
    small.convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


@pytest.mark.parametrize(
    ("options", "plain"),
    [
        ({}, True), ({"progressive": True, "subsampling": 0}, True), ({"comment": "x", "icc_profile": b"y"}, True),
        ({"mode": "L"}, False), ({"mode": "CMYK"}, None), ({"exif": turned()}, False), ({"keep_rgb": True}, False),
    ],
)  # fmt: skip
def test_a_header_tells_the_size_and_what_is_not_only_to_be_decoded(options, plain):
    raw = jpeg(np.random.default_rng(1), **options)
    header = jpeg_header(raw)
    assert (header.plain if header else None) is plain
    assert header is None or header.size == Image.open(io.BytesIO(raw)).size
    assert jpeg_header(raw[:20]) is None and jpeg_header(b"\x89PNG" + raw) is None
    assert np.array_equal(read_pixels(raw, "a.jpg", 32), np.asarray(read_image(raw)))


def test_pixels_and_reasons_are_those_of_pillow_whatever_is_damaged():
    draw, broken = np.random.default_rng(0), 0
    for number in range(300):
        raw = bytearray(jpeg(draw, quality=int(draw.integers(5, 100)), progressive=bool(number % 2)))
        for place in draw.integers(2, len(raw), number % 3):
            raw[place] = int(draw.integers(256))
        raw = bytes(raw[: len(raw) - int(draw.integers(0, 9)) * (number % 5)])
        try:
            expected = np.asarray(read_image(raw, "a.jpg", 32))
        except BadImage as error:
            broken += 1
            with pytest.raises(BadImage) as refused:
                read_pixels(raw, "a.jpg", 32)
            assert refused.value.reason == error.reason
        else:
            assert np.array_equal(read_pixels(raw, "a.jpg", 32), expected)
    assert 30 < broken < 270


def test_limits_hold_past_pillow_too():
    raw = jpeg(np.random.default_rng(2))
    for limits, word in ((Limits(pixels=3), "pixels"), (Limits(file_bytes=10), "MB")):
        with pytest.raises(BadImage, match=word):
            read_pixels(raw, "a.jpg", 8, limits)
