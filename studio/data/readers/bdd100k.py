"""`bdd100k:FOLDER`: the 10,000 images of BDD100K that have masks (Yu et al. 2020), in its new layout or the old one.

Masks are Cityscapes' train ids, 255 void; the 2,000 images of test have no public truth and are left out.
"""

from studio.data.files.limits import Limits
from studio.data.items import Dataset
from studio.data.masks.published import PublishedSet, read_published
from studio.data.masks.tables import KNOWN

OPTIONS: dict[str, str] = {}
BDD100K = PublishedSet(
    title="BDD100K",
    get="bdd-data.berkeley.edu, with an account: 10K Images (1.1 GB) and Segmentation (0.4 GB)",
    layouts=(
        ("images/10k/{split}/{stem}.jpg", "labels/sem_seg/masks/{split}/{stem}.png"),
        ("seg/images/{split}/{stem}.jpg", "seg/labels/{split}/{stem}_train_id.png"),
    ),
    table=KNOWN["cityscapes-trainids"],
    counts={"train": 7000, "val": 1000},
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the set is not there."""
    return read_published(BDD100K, rest, limits)
