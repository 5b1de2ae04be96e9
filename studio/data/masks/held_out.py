"""Validation images by their names, such as all frames of a drive: neighbours of a film in train and val are alike."""

from dataclasses import replace
from pathlib import PurePosixPath

from studio.core.errors import DataError
from studio.data.items import Dataset

OPTION = "beginnings of file names, joined by +: these images are val, all others but test are train; such as a drive"


def held_out(dataset: Dataset, beginnings: str | None) -> Dataset:
    """The data set with the images whose file names begin so as val, and all others that are not test as train.

    None leaves it as it is. Raises DataError where a beginning fits no image, or nothing is left for train.
    """
    if beginnings is None:
        return dataset
    test = set(dataset.splits.get("test", ()))
    names = {row: PurePosixPath(item.name).name for row, item in enumerate(dataset.items) if row not in test}
    chosen = tuple(filter(None, beginnings.replace(" ", "+").split("+")))
    for beginning in chosen or ("",):
        if not beginning or not any(name.startswith(beginning) for name in names.values()):
            first = next(iter(names.values()), "none")
            raise DataError(f"val={beginnings}: no image's name begins with {beginning!r}; the first is {first}.")
    val = [row for row, name in names.items() if name.startswith(chosen)]
    if len(val) == len(names):
        raise DataError(f"val={beginnings}: the names of all {len(val)} images begin so, and none is left for train.")
    train = [row for row in names if row not in set(val)]
    divided = {"train": train, "val": val} | ({"test": sorted(test)} if test else {})
    remark = f"val={beginnings}: {len(val)} images are val, {len(train)} train."
    return replace(dataset, splits=divided, remarks=[*dataset.remarks, remark])
