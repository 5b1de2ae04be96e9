"""How large data from outside may be; what is larger is refused by name before it costs anything."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds for one image, and for one archive. A hosted page may take smaller ones."""

    pixels: int = 178_956_970  # of an image: Pillow's own bound; 537 MB once decoded
    file_bytes: int = 256 * 2**20  # of an image file: ten times what the largest camera writes
    members: int = 500_000  # of an archive: a folder of ImageNet size still fits twice
    unpacked_bytes: int = 256 * 2**30  # of an archive: ImageNet (155 GB) fits
    ratio: int = 200  # unpacked to packed: photos hardly shrink, blank pages 100-fold, bombs 1,000-fold
    ratio_from: int = 16 * 2**20  # bytes unpacked; less does no harm however it was packed


LIMITS = Limits()
