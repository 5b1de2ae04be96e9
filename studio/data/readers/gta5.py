"""`gta5:FOLDER`: GTA5, 24,966 frames of a game (Richter et al. 2016, Playing for Data).

The index into the palette of a mask is Cityscapes' label id already; colours need no translation.
"""

from studio.data.files.limits import Limits
from studio.data.items import Dataset
from studio.data.masks.published import PublishedSet, read_published
from studio.data.masks.tables import KNOWN

OPTIONS: dict[str, str] = {}
GTA5 = PublishedSet(
    title="GTA5",
    get="download.visinf.tu-darmstadt.de/data/from_games: ten zips of images and ten of labels (about 57 GB)",
    layouts=(("images/{stem}.png", "labels/{stem}.png"),),
    table=KNOWN["cityscapes"],
    counts={"": 24966},
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the set is not there."""
    return read_published(GTA5, rest, limits)
