"""The one door for images: whatever the file, out comes an upright RGB image, or a reason why not.

Honours EXIF orientation; takes greyscale, palette, alpha (put on white), CMYK, 16-bit and animated
files (the first frame). No state of Pillow is changed: sizes are judged here, from the header.
"""

import io
import re
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from studio.data.files.jpeg_header import JpegHeader, jpeg_header
from studio.data.files.limits import LIMITS, Limits
from studio.data.items import FileSource, ImageSource

SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".png", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm", ".avif",
}  # fmt: skip
#: only these decoders ever see a file; others (EPS, say, which starts Ghostscript) are never asked
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
HEAD = 64 * 1024  # bytes that hold the header of nearly every image
Size = tuple[int, int]  # width, height

# What is too large is refused below; Pillow's warning would only repeat it.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class BadImage(Exception):
    """An image that can't be used: its name, and the reason in a few words."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name, self.reason = name, reason


def read_image(
    source: ImageSource | str | Path | bytes | np.ndarray,
    name: str = "",
    min_side: int | None = None,
    limits: Limits = LIMITS,
) -> Image.Image:
    """The image as an upright RGB image. Raises BadImage.

    `min_side` says how small it will be resized (pixels of its short side). A JPEG whose sides divide evenly
    may then be decoded at 1/2, 1/4 or 1/8 of its size, as long as the short side stays at least twice
    `min_side`: once resized, it differs from a full decode by less than JPEG's own noise (over 50 dB on
    photos, benchmarks/open_and_check.py), for a fraction of the time. The same file and `min_side` always
    give the same pixels.
    """
    name = name or (str(source) if isinstance(source, (str, Path)) else "image")
    raw = _content(source, name, limits)
    if isinstance(raw, np.ndarray):
        return Image.fromarray(raw).convert("RGB")
    image = _open(raw, name, len(raw), limits)
    try:
        if min_side is not None and image.format in ("JPEG", "MPO"):
            image.draft(None, _draft_size(image.size, 2 * min_side))  # done by the decoder, in its frequencies
        image.load()
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise BadImage(name, f"it is damaged or cut short ({_short(error)})") from error
    try:
        return _to_rgb(_upright(image))
    except (OSError, ValueError) as error:
        raise BadImage(name, f"its colours ({image.mode}) can't be turned into RGB ({_short(error)})") from error


def read_pixels(content: bytes | np.ndarray, name: str, min_side: int, limits: Limits = LIMITS) -> np.ndarray:
    """`read_image` of what a source has read, as pixels uint8 [H, W, 3]; quicker for small ones. Raises BadImage."""
    from studio.data.files.plain_jpeg import decode_plain

    header = _usual_jpeg(content, len(content), limits) if isinstance(content, bytes) else None
    if header is not None and header.plain and _draft_size(header.size, 2 * min_side) == header.size:
        pixels = decode_plain(content)
        if pixels is not None:
            return pixels
    return np.array(read_image(content, name, min_side, limits))


def read_stored(source: ImageSource, name: str, limits: Limits = LIMITS) -> Image.Image:
    """The image as its file has it, in its own mode and not turned: for what is no photo. Raises BadImage."""
    raw = _content(source, name, limits)
    if isinstance(raw, np.ndarray):
        return Image.fromarray(raw)
    image = _open(raw, name, len(raw), limits)
    try:
        image.load()
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise BadImage(name, f"it is damaged or cut short ({_short(error)})") from error
    return image


def read_deep(source: ImageSource, name: str, limits: Limits = LIMITS) -> np.ndarray | None:
    """Channels uint16 [H, W, 3] of a PNG in colour with 16 bits each, of which Pillow keeps 8; None for another file.

    Raises BadImage for a damaged one.
    """
    inspect_image(source, name, limits)
    head = getattr(source, "head", None)
    start = head(32)[0] if head is not None else b""
    if not (start.startswith(b"\x89PNG") and start[24:26] in (b"\x10\x02", b"\x10\x06")):
        return None
    import torch
    from torchvision.io import ImageReadMode, decode_image

    try:
        raw = torch.frombuffer(bytearray(_content(source, name, limits)), dtype=torch.uint8)
        return decode_image(raw, ImageReadMode.UNCHANGED)[:3].permute(1, 2, 0).numpy()
    except RuntimeError as error:
        raise BadImage(name, f"it is damaged or cut short ({_short(error)})") from error


def inspect_image(source: ImageSource, name: str, limits: Limits = LIMITS) -> Size:
    """Width and height as stored, by the header alone. Raises BadImage for what can't be used, or is too large."""
    head = getattr(source, "head", None)
    if head is None:
        return stored_size(_content(source, name, limits), name, limits)
    try:
        start, size = head(HEAD)
        header = _usual_jpeg(start, size, limits)
        return header.size if header is not None else _open(start, name, size, limits).size
    except OSError as error:
        raise BadImage(name, f"it can't be read ({_short(error)})") from error
    except Unidentified:
        if size <= len(start):
            raise
    return stored_size(_content(source, name, limits), name, limits)  # a thumbnail came before the header


def stored_mode(source: ImageSource, name: str, limits: Limits = LIMITS) -> str:
    """Pillow's word for how pixels are stored, such as RGB, LA or I;16, by the header alone. Raises BadImage."""
    head = getattr(source, "head", None)
    if head is None:
        raw = _content(source, name, limits)
        return "RGB" if isinstance(raw, np.ndarray) else _open(raw, name, len(raw), limits).mode
    try:
        start, size = head(HEAD)
        return _open(start, name, size, limits).mode
    except OSError as error:
        raise BadImage(name, f"it can't be read ({_short(error)})") from error


def upright(source: ImageSource, name: str, limits: Limits = LIMITS) -> tuple[Size, int]:
    """Size of the upright image, as `read_image` gives it, and the EXIF orientation (1..8) it is stored in.

    Orientations from 5 on are stored lying: their sides are exchanged. Raises BadImage as `inspect_image`.
    """
    size = inspect_image(source, name, limits)
    orientation = _orientation(source)
    lying = orientation >= 5 and kind_of(source) != "TIFF"  # Pillow gives a TIFF's size as it is upright
    return (size[::-1] if lying else size), orientation


def stored_size(raw: bytes | np.ndarray, name: str, limits: Limits = LIMITS) -> Size:
    """Width and height of a whole file or of pixels [H, W, ...], before it is turned upright. Raises BadImage."""
    if isinstance(raw, np.ndarray):
        return raw.shape[1], raw.shape[0]
    return _open(raw, name, len(raw), limits).size


class Unidentified(BadImage):
    """The bytes at hand don't tell what image this is."""


def kind_of(source: ImageSource) -> str | None:
    """The format (one of FORMATS) that the first bytes tell, whatever the suffix; None where they tell none."""
    head = getattr(source, "head", None)
    try:
        start = head(32)[0] if head is not None else source.read()
    except OSError:
        return None
    return None if isinstance(start, np.ndarray) else next((kind for kind, test in _STARTS if test(start)), None)


_STARTS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("JPEG", lambda start: start.startswith(b"\xff\xd8\xff")),
    ("PNG", lambda start: start.startswith(b"\x89PNG\r\n\x1a\n")),
    ("WEBP", lambda start: start[:4] == b"RIFF" and start[8:12] == b"WEBP"),
    ("GIF", lambda start: start[:6] in (b"GIF87a", b"GIF89a")),
    ("BMP", lambda start: start[:2] == b"BM" and start[6:10] == bytes(4)),
    ("TIFF", lambda start: start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    ("PPM", lambda start: start[:1] == b"P" and start[1:2] in b"123456" and start[2:3].isspace()),
    ("AVIF", lambda start: start[4:8] == b"ftyp" and start[8:12] in (b"avif", b"avis")),
)


def _content(source: ImageSource | str | Path | bytes | np.ndarray, name: str, limits: Limits) -> bytes | np.ndarray:
    if isinstance(source, (bytes, np.ndarray)):
        return source
    if isinstance(source, (str, Path)):
        source = FileSource(Path(source))
    try:
        if isinstance(source, FileSource):
            _judge_bytes(source.path.stat().st_size, name, limits)
        return source.read()
    except OSError as error:
        raise BadImage(name, f"it can't be read ({_short(error)})") from error


def _judge_bytes(size: int, name: str, limits: Limits) -> None:
    if size == 0:
        raise BadImage(name, "the file is empty (0 bytes)")
    if size > limits.file_bytes:
        allowed = limits.file_bytes / 2**20
        raise BadImage(name, f"the file has {size / 2**20:,.0f} MB, more than the {allowed:,.0f} MB allowed")


def _open(raw: bytes, name: str, size: int, limits: Limits) -> Image.Image:
    """The image with its header read and nothing decoded. `size` is the length of the whole file."""
    _judge_bytes(size, name, limits)
    try:
        image = Image.open(io.BytesIO(raw), formats=_formats())
    except Image.DecompressionBombError as error:
        pixels = next((f"{int(word):,}; " for word in re.findall(r"\d+", str(error))), "")
        raise BadImage(name, f"it has too many pixels ({pixels}at most {limits.pixels:,})") from error
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise Unidentified(name, _what_else(raw)) from error
    width, height = image.size
    if width * height > limits.pixels:
        raise BadImage(name, f"it has too many pixels ({width:,} x {height:,}; at most {limits.pixels:,})")
    if width == 0 or height == 0:
        raise BadImage(name, "it has no pixels")
    return image


def _usual_jpeg(start: bytes, size: int, limits: Limits) -> JpegHeader | None:
    """The header of a JPEG within the limits; None where Pillow is to judge. `size` is the length of the whole file."""
    header = jpeg_header(start) if size <= limits.file_bytes else None
    return header if header is not None and header.size[0] * header.size[1] <= limits.pixels else None


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)  # an older Pillow has no AVIF


def _what_else(raw: bytes) -> str:
    """In a few words, what a file is that no decoder knows."""
    if raw[4:8] == b"ftyp" and raw[8:11] in (b"hei", b"hev", b"mif"):
        return "it is a HEIC photo, which can't be read here; export it as JPEG"
    start = raw[:512]
    if not any(byte < 9 or 13 < byte < 32 for byte in start) and start.decode("utf-8", "ignore"):
        return "its content is text, not an image"
    if raw.startswith((b"\xff\xd8", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")):
        return "it is damaged: its header can't be read"
    return "its content is no image of a known kind"


def _draft_size(size: Size, least: int) -> Size:
    """The smallest size that is `size` divided by 8, 4 or 2 with a short side of at least `least`, or `size`.

    With a remainder the decoder would round the size up, and so shift the image by a part of a pixel.
    """
    for divisor in (8, 4, 2):
        if all(side % divisor == 0 and side // divisor >= least for side in size):
            return size[0] // divisor, size[1] // divisor
    return size


def _orientation(source: ImageSource) -> int:
    """1 where the file does not say how it is to be turned, or says it in a way that can't be read."""
    head = getattr(source, "head", None)
    try:
        raw, size = head(HEAD) if head is not None else (source.read(), 0)
        if isinstance(raw, np.ndarray):
            return 1
        if size > len(raw) and not raw.startswith(b"\xff\xd8"):  # only a JPEG's EXIF is sure to be at its start
            raw = source.read()
        image = Image.open(io.BytesIO(raw), formats=_formats())
        if image.format == "PNG" and "exif" not in image.info:
            image.load()  # its EXIF may follow the pixels
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a decoder may raise anything on damaged bytes; `read_image` leaves such images as they are
        return 1
    return orientation if orientation in range(1, 9) else 1


def _upright(image: Image.Image) -> Image.Image:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # damaged EXIF says nothing of how the image was held
        return image
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image)
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # a copy of a large photo is 200 MB


def _eight_bits(image: Image.Image) -> Image.Image:
    """Greyscale of more than 8 bits by its range: 12 or 16 bits, floats in 0..1; all else is stretched.

    Cameras and microscopes keep 12 bits in files of 16, unsaid: values that all fit into 12 are taken for such.
    """
    values = np.nan_to_num(np.asarray(image).astype(np.float32))
    black, white, _ = _range(values, image.mode)
    values = (values - black) / max(white - black, 1e-12) * 255.0
    return Image.fromarray(values.round().astype(np.uint8)).convert("RGB")


def _range(values: np.ndarray, mode: str) -> tuple[float, float, str]:
    """The values that are black and white, and what they are taken for."""
    low, high = float(values.min()), float(values.max())
    if mode.startswith("I") and low >= 0 and high <= 65535:
        return (0.0, 4095.0, "12 bits") if high < 4096 else (0.0, 65535.0, "16 bits")
    if low >= 0 and high <= 1:
        return 0.0, 1.0, "0 to 1"
    return low, high, "its own darkest and brightest"


def range_of(raw: bytes | np.ndarray, name: str, limits: Limits = LIMITS) -> str | None:
    """What an image of more than 8 bits is taken for, such as "12 bits"; None for all others. Raises BadImage."""
    if isinstance(raw, np.ndarray):
        return None
    image = _open(raw, name, len(raw), limits)
    if not image.mode.startswith(("I", "F")):
        return None
    try:
        return _range(np.nan_to_num(np.asarray(image).astype(np.float32)), image.mode)[2]
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise BadImage(name, f"it is damaged or cut short ({_short(error)})") from error


def _short(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:120]
