"""`acdc:FOLDER?condition=fog+night`: ACDC, streets in fog, at night, in rain and snow (Sakaridis et al. 2021).

Masks are Cityscapes' train ids; the domain of an image is its condition. Test has no public truth and is left out, and
so are the images in clear weather that lie beside (train_ref, ...).
"""

from dataclasses import replace

from studio.core.errors import DataError, nearest
from studio.data.files.limits import Limits
from studio.data.items import Dataset
from studio.data.masks.published import PublishedSet, read_published
from studio.data.masks.tables import KNOWN

#: images with truth of each condition, in train and val
CONDITIONS = {"fog": (400, 100), "night": (400, 106), "rain": (400, 100), "snow": (400, 100)}
OPTIONS = {"condition": f"one or several joined by + of {', '.join(CONDITIONS)}; all where none is named"}
ACDC = PublishedSet(
    title="ACDC",
    get="acdc.vision.ee.ethz.ch, with an account: rgb_anon_trainvaltest.zip and gt_trainval.zip (about 13 GB)",
    layouts=(
        (
            "rgb_anon/{domain}/{split}/{sequence}/{stem}_rgb_anon.png",
            "gt/{domain}/{split}/{sequence}/{stem}_gt_labelTrainIds.png",
        ),
    ),
    table=KNOWN["cityscapes-trainids"],
    counts={"train": 1600, "val": 406},
)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the set is not there, or there is no such condition."""
    named = options.get("condition", "+".join(CONDITIONS)).replace(" ", "+").split("+")
    for name in named:
        if name not in CONDITIONS:
            raise DataError(f"condition={name}: ACDC has no such condition.{nearest(name, CONDITIONS)}")
    train, val = (sum(CONDITIONS[name][place] for name in named) for place in (0, 1))
    chosen = replace(ACDC, counts={"train": train, "val": val}, domains=tuple(named))
    return read_published(chosen, rest, limits)
