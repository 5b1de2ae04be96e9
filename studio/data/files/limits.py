"""How large data from outside may be; what is larger is refused by name before it costs anything.

Recipes and settings are bounded in `studio.core.texts`, runs in `studio.runs.queue`.
"""

from dataclasses import dataclass, replace

from studio.core.home import Home
from studio.core.rights import LOCAL, Rights


@dataclass(frozen=True)
class Limits:
    """Bounds for an image, an archive, a file of annotations and a data set; whose files may be opened, and where."""

    pixels: int = 178_956_970  # of an image: Pillow's own bound; 537 MB once decoded
    file_bytes: int = 256 * 2**20  # of an image file: ten times what the largest camera writes
    members: int = 500_000  # of an archive: a folder of ImageNet size still fits twice
    unpacked_bytes: int = 256 * 2**30  # of an archive: ImageNet (155 GB) fits
    ratio: int = 200  # unpacked to packed: photos hardly shrink, blank pages 100-fold, bombs 1,000-fold
    ratio_from: int = 16 * 2**20  # bytes unpacked; less does no harm however it was packed
    text_bytes: int = 640 * 2**20  # of a file of annotations: COCO's largest has 450 MB
    text_values: int = 100_000_000  # in it; read, each takes 30 to 100 bytes of memory
    text_ratio: int = 60  # unpacked to packed, of annotations in an archive: theirs is 4 to 25
    images: int = 5_000_000  # of a data set
    builtin_pixels: int = 10**10  # of a built-in set, all images together: they are drawn each time
    rights: Rights = LOCAL
    home: Home | None = None  # where the checkpoints are that data are translated by; None is this user's own


LIMITS = Limits()

#: for the data of strangers
HOSTED = Limits(
    pixels=50_000_000,
    file_bytes=32 * 2**20,
    members=20_000,
    unpacked_bytes=2 * 2**30,
    text_bytes=32 * 2**20,
    text_values=2_000_000,
    images=20_000,
    builtin_pixels=50_000_000,
)


def limits_of(home: Home | None) -> Limits:
    """The limits of whom this home is opened for; of this machine's user where there is none."""
    if home is None:
        return LIMITS
    return replace(LIMITS if home.rights.local else HOSTED, rights=home.rights, home=home)
