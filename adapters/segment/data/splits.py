"""The splits of a segmentation recipe."""

from dataclasses import replace
from typing import TYPE_CHECKING

from studio.core.errors import DataError, nearest
from studio.core.home import Home
from studio.data.items import Dataset
from studio.data.splits import Splits, given_splits, leaks, some, train_and_val

if TYPE_CHECKING:
    from studio.core.sections import LabelledData


def resolve_mask_splits(data: "LabelledData", seed: int, home: Home | None = None, called: str = "train") -> Splits:
    """As `resolve_splits`, for images with masks; class indices are those of train, which messages say is `called` so.

    Raises DataError where a split has no masks, has a class that train has not, or nothing can be held out.
    """
    train, val, test = given_splits(data, home)
    for name, part in ((called, train), ("val", val), ("test", test)):
        if part is not None:
            require_masks(name, part)
    train, val, note = train_and_val(
        data, train, val, seed, home, lambda part: same_classes(part, train.classes, "val", called), called
    )
    if test is not None:
        test = same_classes(test, train.classes, "test")
    given = {"val": val} if test is None else {"val": val, "test": test}
    return Splits(train, val, test, note + leaks([item.source for item in train.items], given, home))


def require_masks(name: str, part: Dataset) -> None:
    """Raises DataError where images of a split carry no masks, or there are not two classes."""
    if not part.masked:
        said = "".join(f" {remark}" for remark in part.remarks[:3])
        raise DataError(
            f"data.{name}: {part.spec} has no masks. Segmentation needs masks:FOLDER with images/ and masks/, "
            "masks:FILE.json?images=FOLDER (COCO), or builtin:scenes?truth=masks." + said
        )
    if len(part.classes) < 2:
        raise DataError(f"data.{name}: {part.spec} has the class {some(part.classes)} alone; at least two are needed.")


def same_classes(part: Dataset, classes: list[str], split: str, known: str = "train") -> Dataset:
    """The images with class indices into `classes`. Raises DataError for a class that is not among them."""
    unknown = sorted(set(part.classes) - set(classes))
    if unknown:
        raise DataError(
            f"data.{split}: {part.spec} has the class {unknown[0]!r}, which {known} has not: was it renamed, or are "
            f"the classes named for one only (?classes=)?{nearest(unknown[0], classes)}"
        )
    place = [classes.index(name) for name in part.classes]
    return replace(part, classes=classes, items=[item.relabelled(place) for item in part.items], splits={})
