"""The one door for pictures: whatever the file, out comes an upright RGB image, or a reason why not.

Honours EXIF orientation; takes greyscale, palette, alpha (put on white), CMYK, 16-bit and animated
files (the first frame). Nothing global in PIL is changed.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from studio.data.items import FileSource, ImageSource

MAX_PIXELS = 120_000_000  # 360 MB as RGB; judged from the header, before anything is decoded
MAX_BYTES = 256 * 2**20  # of the encoded file
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif"}
_DEEP = ("I", "F")  # modes of more than eight bits a channel


class BadImage(Exception):
    """A picture that can't be used: its name, and the reason in a few words."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name, self.reason = name, reason


def read_image(
    source: ImageSource | str | Path | bytes | np.ndarray, name: str = "", min_side: int | None = None
) -> Image.Image:
    """The picture as an upright RGB image.

    With `min_side`, a JPEG may be decoded at a half, quarter or eighth of its size, as long as its short
    side stays at least twice `min_side`: later resizing then hides the difference, at a fraction of the
    time. Raises BadImage.
    """
    name = name or str(source)[:80]
    raw = _content(source, name)
    if isinstance(raw, np.ndarray):
        return Image.fromarray(raw).convert("RGB")
    image = _open(raw, name)
    try:
        if min_side is not None:
            image.draft("RGB", _draft_size(image.size, 2 * min_side))
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        raise BadImage(name, f"it is damaged or cut short ({error})") from error


def inspect_image(raw: bytes, name: str, size: int | None = None) -> tuple[int, int]:
    """Width and height by the header alone. Raises BadImage for what can't be an image or is too large.

    `size` is the length of the whole file where `raw` is only its beginning.
    """
    return _open(raw, name, size).size


def _content(source: ImageSource | str | Path | bytes | np.ndarray, name: str) -> bytes | np.ndarray:
    if isinstance(source, (bytes, np.ndarray)):
        return source
    if isinstance(source, (str, Path)):
        source = FileSource(Path(source))
    try:
        return source.read()
    except OSError as error:
        raise BadImage(name, f"it can't be read ({error.strerror or error})") from error


def _open(raw: bytes, name: str, size: int | None = None) -> Image.Image:
    size = len(raw) if size is None else size
    if size == 0:
        raise BadImage(name, "the file is empty (0 bytes)")
    if size > MAX_BYTES:
        raise BadImage(name, f"the file has {size / 2**20:.0f} MB, more than the {MAX_BYTES / 2**20:.0f} MB allowed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(raw))
    except Image.DecompressionBombError as error:
        raise BadImage(name, f"it has far too many pixels (at most {MAX_PIXELS:,})") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        raise BadImage(name, "the content is not an image of a known kind") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadImage(name, f"{width} x {height} pixels are too many (at most {MAX_PIXELS:,})")
    if width == 0 or height == 0:
        raise BadImage(name, "it has no pixels")
    return image


def _draft_size(size: tuple[int, int], short: int) -> tuple[int, int]:
    """The smallest size of the same shape whose short side is at least `short`."""
    scale = max(1.0, min(size) / short)
    return max(1, int(size[0] / scale)), max(1, int(size[1] / scale))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(_DEEP):
        return _eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(paper, layer).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit and float greyscale: 16-bit values keep their upper byte, others are stretched to 0..255."""
    values = np.asarray(image).astype(np.float64)
    values = np.nan_to_num(values)
    low, high = values.min(), values.max()
    if image.mode.startswith("I") and low >= 0 and high <= 65535:
        scaled = values / 257.0
    elif low >= 0 and high <= 1:
        scaled = values * 255.0
    else:
        scaled = (values - low) / max(high - low, 1e-12) * 255.0
    return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")
