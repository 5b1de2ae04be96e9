"""From images whose individual is known to a dataset."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from studio.data.files.layout import Entry, gather
from studio.data.files.limits import Limits
from studio.data.items import Dataset, Skipped

NOBODY = "\0nobody"  # the label of distractors until they are gathered


def dataset_of(
    where: str, entries: Iterable[Entry], skipped: Sequence[Skipped], limits: Limits, remarks: Sequence[str] = ()
) -> Dataset:
    """The dataset of entries with identities as labels; those of NOBODY have label -1 and match no one.

    Raises DataError where no image can be used.
    """
    dataset = gather(where, [replace(entry, camera=entry.camera or "") for entry in entries], list(skipped), limits)
    dataset.remarks += remarks
    if NOBODY not in dataset.classes:
        return dataset
    place = [-1 if name == NOBODY else index - 1 for index, name in enumerate(dataset.classes)]  # it sorts first
    items = [item.relabelled(place) for item in dataset.items]
    return replace(dataset, items=items, classes=[name for name in dataset.classes if name != NOBODY])
