"""`darkzurich:FOLDER`: Dark Zurich at night (Sakaridis et al. 2019), 2,416 images to adapt to, 50 with masks to judge.

Masks are Cityscapes' train ids. The images of train have no truth: they are a target to adapt to. Twilight and day, and
the test split with its truth on a server, are left out.
"""

from studio.data.files.limits import Limits
from studio.data.items import Dataset
from studio.data.masks.published import PublishedSet, read_published
from studio.data.masks.tables import KNOWN

OPTIONS: dict[str, str] = {}
DARK_ZURICH = PublishedSet(
    title="Dark Zurich",
    get="trace.ethz.ch/publications/2019/GCMA_UIoU: Dark_Zurich_train_anon.zip (about 16 GB) and "
    "Dark_Zurich_val_anon.zip (0.4 GB)",
    layouts=(
        (
            "rgb_anon/{split}/{domain}/{sequence}/{stem}_rgb_anon.png",
            "gt/{split}/{domain}/{sequence}/{stem}_gt_labelTrainIds.png",
        ),
    ),
    table=KNOWN["cityscapes-trainids"],
    counts={"train": 2416, "val": 50},
    domains=("night",),
    unlabelled=("train",),
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the set is not there."""
    return read_published(DARK_ZURICH, rest, limits)
