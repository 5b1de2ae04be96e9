"""`synthia:FOLDER`: SYNTHIA-RAND-CITYSCAPES, 9,400 rendered images (Ros et al. 2016).

Masks are PNGs of 16 bits a channel with the class in the red one. Of Cityscapes' 19 classes it has 16: terrain, truck
and train have no pixel. `eval.only: [synthia-16]`, or synthia-13 without wall, fence and pole, scores as published.
"""

from studio.data.files.limits import Limits
from studio.data.items import Dataset
from studio.data.masks.published import PublishedSet, read_published
from studio.data.masks.tables import KNOWN

OPTIONS: dict[str, str] = {}
SYNTHIA = PublishedSet(
    title="SYNTHIA-RAND-CITYSCAPES",
    get="synthia-dataset.net (about 20 GB)",
    layouts=(("RGB/{stem}.png", "GT/LABELS/{stem}.png"),),
    table=KNOWN["synthia"],
    counts={"": 9400},
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the set is not there."""
    return read_published(SYNTHIA, rest, limits)
