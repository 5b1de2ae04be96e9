"""The one door for images: every kind of file comes out as the same upright RGB image."""

import io

import numpy as np
import pytest
from PIL import Image

from studio.data import read_image
from studio.data.files.images import HEAD, BadImage, inspect_image, upright
from studio.data.files.layout import part
from studio.data.files.limits import Limits
from studio.data.items import ArraySource, FileSource


def distance(first: Image.Image, second: Image.Image) -> float:
    """Mean difference of two images of one size, in grey levels."""
    assert (first.mode, first.size) == (second.mode, second.size) == ("RGB", second.size)
    return float(np.abs(np.asarray(first, float) - np.asarray(second, float)).mean())


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("PPM", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 95}, 3),
        ("JPEG", {"quality": 95, "progressive": True}, 3),
        ("GIF", {}, 12),
    ],
)
def test_every_format_gives_the_image(draw, encode, kind, options, tolerance):
    assert distance(read_image(encode(draw(), kind, **options)), draw()) <= tolerance


@pytest.mark.parametrize("kind", ("JPEG", "PNG", "WEBP", "TIFF"))
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_image_comes_out_upright_however_the_camera_was_held(draw, encode, kind, orientation):
    shown = draw()
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation -> the transposition that stores it so
    stored = shown.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else shown
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert distance(read_image(encode(stored, kind, exif=exif)), shown) < 6


def test_orientation_holds_for_palettes_sixteen_bits_and_reduced_decoding(draw, encode):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side: 64 x 48 becomes 48 x 64
    deep = Image.fromarray(np.asarray(draw().convert("L")).astype(np.uint16) * 257)
    for raw in (encode(draw().convert("P"), "PNG", exif=exif), encode(deep, "PNG", exif=exif)):
        assert read_image(raw).size == (48, 64)
    large = encode(draw(size=(640, 480)), "JPEG", exif=exif)
    assert read_image(large, min_side=30).size == (60, 80)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_image(draw, encode):
    raw = encode(draw(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\x01\0\0\0\xff")
    assert distance(read_image(raw), draw()) < 6


@pytest.mark.parametrize("mode", ("1", "L", "P", "CMYK", "YCbCr"))
def test_every_colour_mode_comes_out_as_rgb(draw, encode, mode):
    image = draw().convert(mode)
    raw = encode(image, "TIFF", compression="tiff_lzw") if mode in ("CMYK", "YCbCr") else encode(image, "PNG")
    assert distance(read_image(raw), image.convert("RGB")) <= 2


def test_cmyk_jpegs_of_print_shops_keep_their_colours(encode):
    red = Image.new("RGB", (32, 32), (220, 30, 30))
    assert distance(read_image(encode(red.convert("CMYK"), "JPEG", quality=95)), red) < 4


@pytest.mark.parametrize("mode", ("RGBA", "LA", "P", "L"))
def test_what_is_transparent_is_put_on_white(encode, mode):
    if mode in ("P", "L"):  # one value marked as transparent
        raw = encode(Image.new(mode, (8, 8), 0), "PNG", transparency=0)
    else:
        raw = encode(Image.new("RGBA", (8, 8), (10, 20, 30, 0)).convert(mode), "PNG")
    assert np.asarray(read_image(raw)).min() == 255


def test_half_transparent_is_half_white(encode):
    raw = encode(Image.new("RGBA", (4, 4), (0, 100, 200, 128)), "PNG")
    assert np.abs(np.asarray(read_image(raw), int)[0, 0] - [127, 177, 227]).max() <= 1


def test_sixteen_bits_keep_the_upper_byte(encode):
    ramp = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        seen = np.asarray(read_image(encode(Image.fromarray(ramp), kind)))[..., 0].astype(int)
        assert np.abs(seen - np.arange(256).reshape(16, 16)).max() <= 1
    netpbm = b"P5 2 1 65535\n" + np.array([[0, 65535]], ">u2").tobytes()
    assert np.asarray(read_image(netpbm))[0, :, 0].tolist() == [0, 255]


def test_float_images_keep_0_to_1_and_stretch_all_else(encode):
    unit = Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    wide = Image.fromarray(np.array([[-10.0, 0.0, np.nan, 10.0]], np.float32))
    assert np.asarray(read_image(encode(unit, "TIFF")))[0, :, 0].tolist() == [0, 128, 255]
    assert np.asarray(read_image(encode(wide, "TIFF")))[0, :, 0].tolist() == [0, 128, 128, 255]


@pytest.mark.parametrize("kind", ("GIF", "PNG", "WEBP", "TIFF"))
def test_of_an_animation_the_first_frame_is_taken(draw, encode, kind):
    raw = encode(draw(1), kind, save_all=True, append_images=[draw(2), draw(3)])
    assert distance(read_image(raw), draw(1)) < distance(read_image(raw), draw(2)) / 3


def test_pixels_paths_and_sources_come_through_the_same_door(draw, encode, tmp_path):
    raw = encode(draw(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(raw)
    pixels = np.asarray(draw())
    for source in (raw, path, str(path), FileSource(path), pixels, ArraySource(pixels)):
        assert distance(read_image(source), draw()) == 0
    assert distance(read_image(pixels[..., 0]), Image.fromarray(pixels[..., 0]).convert("RGB")) == 0


def test_a_reduced_decode_is_as_good_as_a_full_one_and_never_below_twice_the_size(encode):
    scene = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    raw = encode(scene.resize((1600, 1200), Image.Resampling.BICUBIC), "JPEG", quality=90)
    full, reduced = read_image(raw), read_image(raw, min_side=96)
    assert reduced.size == (400, 300) and read_image(raw, min_side=96).tobytes() == reduced.tobytes()
    assert read_image(raw, min_side=160).size == (800, 600) and read_image(raw, min_side=700).size == (1600, 1200)
    small = [np.asarray(image.resize((128, 96), Image.Resampling.BICUBIC), float) for image in (full, reduced)]
    noise = np.mean((small[0] - small[1]) ** 2)
    assert 10 * np.log10(255**2 / noise) > 45


def test_sides_that_do_not_divide_evenly_are_decoded_in_full(draw, encode):
    raw = encode(draw(size=(1602, 1201)), "JPEG")
    assert read_image(raw, min_side=32).size == (1602, 1201)


def test_nothing_global_in_pillow_is_changed():
    from PIL import ImageFile

    assert Image.MAX_IMAGE_PIXELS == 1024**3 // 4 // 3 and ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_the_header_tells_the_size_without_decoding(draw, encode, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(draw(size=(640, 480)))[:5000])  # the pixels are cut off
    assert inspect_image(FileSource(path), "a.jpg") == (640, 480)


def test_a_header_behind_a_large_thumbnail_is_found(draw, encode, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(draw(), "JPEG", icc_profile=bytes(200_000)))
    assert inspect_image(FileSource(path), "a.jpg") == (64, 48)


def test_limits_can_be_set_lower(draw, encode, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode(draw(), "PNG"))
    for limits, words in ((Limits(pixels=3000), "64 x 48"), (Limits(file_bytes=100), "MB")):
        with pytest.raises(BadImage, match=words):
            read_image(path, limits=limits)
        with pytest.raises(BadImage, match=words):
            inspect_image(FileSource(path), "a.png", limits)


def test_a_image_of_a_kind_that_starts_other_programs_is_not_opened():
    postscript = io.BytesIO()
    Image.new("RGB", (8, 8)).save(postscript, "EPS")
    with pytest.raises(BadImage, match="its content is text"):  # and not: it is damaged, which a decoder would say
        read_image(postscript.getvalue(), "a.jpg")


def test_a_file_that_is_too_large_is_not_even_read(tmp_path):
    class Unread(FileSource):
        def read(self) -> bytes:
            raise AssertionError("it was read")

    (tmp_path / "a.jpg").write_bytes(bytes(1000))
    with pytest.raises(BadImage, match="MB allowed"):
        read_image(Unread(tmp_path / "a.jpg"), "a.jpg", limits=Limits(file_bytes=999))


def noisy(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))


@pytest.mark.parametrize("suffix", [".webp", ".tif", ".png", ".jpg"])
def test_a_large_turned_file_is_laid_out_as_it_is_read(tmp_path, suffix):
    path, exif = tmp_path / f"a{suffix}", Image.Exif()
    exif[0x0112] = 6
    noisy(480, 320).save(path, exif=exif, **({"quality": 95} if suffix in (".webp", ".jpg") else {}))
    assert path.stat().st_size > HEAD or suffix == ".jpg"
    assert upright(FileSource(path), "a")[0] == read_image(path).size == (320, 480)


def test_twelve_bits_in_sixteen_use_the_whole_range_and_sixteen_stay(tmp_path):
    for most, expected in ((4095, 255), (65535, 255), (32767, 127)):
        values = np.linspace(0, most, 64).astype(np.uint16).reshape(8, 8)
        Image.fromarray(values).save(tmp_path / "a.png")
        assert np.asarray(read_image(tmp_path / "a.png")).max() == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "A.JPG", "noname", "a.dat", "a.heic"])
def test_an_image_is_known_by_its_content(tmp_path, name):
    noisy(20, 20).save(tmp_path / name, "JPEG")
    (tmp_path / "notes").write_text("BM is no image, P5 neither")
    images, others = part({path.name: FileSource(path) for path in tmp_path.iterdir()})
    assert list(map(str, images)) == [name] and list(map(str, others)) == ["notes"]
