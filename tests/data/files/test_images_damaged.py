"""Bad images: each a BadImage with its name and a reason a person understands, at no cost, never another error."""

import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from studio.data import read_image
from studio.data.files.images import BadImage, inspect_image
from studio.data.items import FileSource


def giant_png(width: int = 40_000, height: int = 40_000) -> bytes:
    """A whole, valid PNG: white, one bit a pixel, packed 1000-fold."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compressobj(1)
    line = b"\0" + b"\xff" * ((width + 7) // 8)
    packed = b"".join([*(rows.compress(line * 1000) for _ in range(height // 1000)), rows.flush()])
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def refused(source, name="photo.jpg") -> str:
    with pytest.raises(BadImage) as error:
        read_image(source, name)
    assert error.value.name == name and name in str(error.value)
    return error.value.reason


def test_an_empty_file_is_called_empty(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert "empty" in refused(b"") and "empty" in refused(tmp_path / "a.jpg", "a.jpg")


@pytest.mark.parametrize(
    "text", (b"not an image", "<html>Größe</html>".encode(), b"version https://git-lfs.github.com")
)
def test_a_text_with_the_name_of_a_photo_is_called_text(text):
    assert "text" in refused(text)


def test_a_heic_photo_under_another_name_says_what_to_do():
    assert "export it as JPEG" in refused(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))


def test_other_content_is_no_image_of_a_known_kind():
    assert "no image" in refused(b"%PDF-1.7\n\x00\x01\x02" + bytes(range(256)))
    assert "header" in refused(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0")


@pytest.mark.parametrize("kind", ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"))
@pytest.mark.parametrize("kept", (0.5, 0.9))
def test_a_truncated_file_is_called_damaged(draw, encode, kind, kept):
    raw = encode(draw(size=(320, 240)), kind)
    reason = refused(raw[: int(kept * len(raw))])
    assert "damaged" in reason or "no image" in reason


def test_a_jpeg_cut_short_is_noticed_when_decoded_at_reduced_size_too(draw, encode):
    raw = encode(draw(size=(1600, 1200)))
    with pytest.raises(BadImage, match="cut short"):
        read_image(raw[: len(raw) * 3 // 4], "a.jpg", min_side=32)


def test_a_missing_file_is_named(tmp_path):
    assert "can't be read" in refused(tmp_path / "nowhere.jpg")


def test_a_image_of_40000_by_40000_costs_nothing(tmp_path):
    path = tmp_path / "giant.png"
    path.write_bytes(giant_png())
    tracemalloc.start()
    reasons = [refused(path, "giant.png")]
    with pytest.raises(BadImage) as error:
        inspect_image(FileSource(path), "giant.png")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for reason in (*reasons, error.value.reason):
        assert "too many pixels" in reason
    assert most < 8 * 2**20


def test_the_giant_image_of_these_tests_is_a_valid_one():
    small = read_image(giant_png(4000, 4000))
    assert small.size == (4000, 4000) and small.getpixel((3999, 3999)) == (255, 255, 255)


@pytest.fixture(scope="module")
def samples():
    import io

    def save(kind: str, image: Image.Image, **options) -> bytes:
        target = io.BytesIO()
        image.save(target, kind, **options)
        return target.getvalue()

    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    tile = Image.linear_gradient("L").resize((24, 16)).convert("RGB")
    return [
        save("JPEG", tile, exif=exif),
        save("JPEG", tile.convert("CMYK"), progressive=True),
        save("PNG", tile.convert("RGBA"), exif=exif),
        save("PNG", tile.convert("P"), transparency=1),
        save("GIF", tile, save_all=True, append_images=[tile.rotate(90)]),
        save("BMP", tile),
        save("WEBP", tile, exif=exif),
    ]


@settings(max_examples=300, deadline=None)
@given(
    which=st.integers(0, 6),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
    end=st.none() | st.integers(0, 2000),
    min_side=st.none() | st.integers(1, 16),
)
def test_whatever_is_in_a_file_it_is_a_image_or_a_bad_image(samples, which, changes, end, min_side):
    raw = bytearray(samples[which])
    for place, value in changes:
        raw[place % len(raw)] = value
    try:
        image = read_image(bytes(raw[:end]), "a.jpg", min_side=min_side)
    except BadImage as error:
        assert error.reason
    else:
        assert image.mode == "RGB" and min(image.size) > 0
