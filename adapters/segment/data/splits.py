"""The splits of a segmentation recipe."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from studio.core.errors import DataError, nearest
from studio.core.home import Home
from studio.data.files.digests import digests
from studio.data.items import Dataset
from studio.data.splits import HELD_OUT, Splits, given_splits, leaks, some, stratified

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
    if val is None:
        groups = digests([item.source for item in train.items], home)
        kept, held = stratified(np.zeros(len(train), np.int64), HELD_OUT, seed, groups)
        if len(held) == 0:
            raise DataError(
                f"data.{called}: {train.spec} has too few images to hold any out. Add some, or give data.val."
            )
        val = train.subset(held)
        train = replace(train.subset(kept), skipped=train.skipped, remarks=train.remarks)
        note = f"Validation: {len(held)} of {len(held) + len(kept)} images held out of {called}, seed {seed}."
    else:
        val = same_classes(val, train.classes, "val", called)
        note = f"Validation: {data.val or 'the split that the data came with'}."
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
