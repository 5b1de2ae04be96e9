"""What a recipe of translation learns from, and what is held out: images of two looks, or pairs of them."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from adapters.translate.films.clips import films_of
from studio.core.errors import DataError
from studio.core.home import Home
from studio.data.files.digests import digests
from studio.data.items import Dataset
from studio.data.splits import HELD_OUT, given_splits, images, leaks, stratified

if TYPE_CHECKING:
    from adapters.translate.task import TranslateData


@dataclass
class Sides:
    """`source` and `target` are learned from; the held-out ones are not, and choose the epoch.

    Of pairs `source` carries them (`source.paired`), and `target` are the images of their other side. `test`, pairs, is
    only scored.
    """

    source: Dataset
    target: Dataset
    held_source: Dataset
    held_target: Dataset
    test: Dataset | None
    note: str


def resolve_sides(data: "TranslateData", seed: int, home: Home | None = None) -> Sides:
    """Raises DataError where a side has too few images to hold any out, or pairs are asked for and there are none."""
    if data.train is not None:
        return _of_pairs(data, seed, home)
    source, held_source, first = _of_look(str(data.source), "source", seed, home)
    target, held_target, second = _of_look(str(data.target), "target", seed, home)
    test = _pairs(data.test, "test", home)
    val = _pairs(data.val, "val", home)
    note = f"Held out: {first} of the source and {second} of the target."
    if val is not None:
        held_source, held_target, note = val, swapped(val), f"The epoch is chosen on the pairs of {data.val}."
    given = {name: part for name, part in (("val", val), ("test", test)) if part is not None}
    note += leaks([item.source for item in source.items], given, home)
    return Sides(source, target, held_source, held_target, test, note)


def swapped(dataset: Dataset) -> Dataset:
    """The other side of pairs, without its pairs."""
    return replace(dataset, items=[replace(item, source=item.pair, pair=None) for item in dataset.items], skipped=[])


def _of_pairs(data: "TranslateData", seed: int, home: Home | None) -> Sides:
    train, val, test = given_splits(data, home)
    for name, part in (("train", train), ("val", val), ("test", test)):
        _require_pairs(name, part)
    if val is None:
        train, val, count = _held_out(train, "train", seed, home)
        note = f"Held out: {count} of the pairs, seed {seed}."
    else:
        note = f"The epoch is chosen on the pairs of {data.val or 'the split that the data came with'}."
    given = {"val": val} if test is None else {"val": val, "test": test}
    note += leaks([item.source for item in train.items], given, home)
    return Sides(train, swapped(train), val, swapped(val), test, note)


def _of_look(spec: str, key: str, seed: int, home: Home | None) -> tuple[Dataset, Dataset, str]:
    """What is learned from, what is held out, and how much that is."""
    whole = images(spec, home)
    if not whole.splits:
        return _held_out(whole, key, seed, home)
    if "train" not in whole.splits:
        names = ", ".join(f"{name}/" for name in whole.splits)
        raise DataError(f"data.{key}: {spec} has {names} but no train/. Name the folder to learn from.")
    train = replace(whole.part("train"), skipped=whole.skipped, remarks=whole.remarks)
    held = next((name for name in ("val", "test") if name in whole.splits), None)
    if held is None:
        return _held_out(train, key, seed, home)
    return train, whole.part(held), f"{len(whole.splits[held])} images of {held}/"


def _held_out(whole: Dataset, key: str, seed: int, home: Home | None) -> tuple[Dataset, Dataset, str]:
    """A fifth of the images, at least two, the same image never on both sides; of films, their ends."""
    if films := films_of(whole):
        return _ends_of(whole, films, key)
    groups = digests([item.source for item in whole.items], home)
    kept, held = stratified(np.zeros(len(whole), np.int64), max(HELD_OUT, 2 / max(2, len(whole))), seed, groups)
    if len(kept) < 2 or len(held) < 2:
        raise DataError(
            f"data.{key}: {whole.spec} has {len(whole)} images ({len(set(groups))} different); at least four are "
            "needed: two to learn a look from, and two that are held out to judge by."
        )
    train = replace(whole.subset(kept), skipped=whole.skipped, remarks=whole.remarks)
    return train, whole.subset(held), f"{len(held)} of {len(whole)} images"


def _ends_of(whole: Dataset, films: list[list[int]], key: str) -> tuple[Dataset, Dataset, str]:
    """The last fifth of each film is held out, two frames at least."""
    ends = [max(2, round(HELD_OUT * len(rows))) for rows in films]
    if any(len(rows) - end < 3 for rows, end in zip(films, ends, strict=True)):
        raise DataError(
            f"data.{key}: {whole.spec} has a film of {min(map(len, films))} frames; at least five are needed: three "
            "that follow each other to learn from, and two that are held out."
        )
    kept = [row for rows, end in zip(films, ends, strict=True) for row in rows[:-end]]
    held = [row for rows, end in zip(films, ends, strict=True) for row in rows[-end:]]
    train = replace(whole.subset(kept), skipped=whole.skipped, remarks=whole.remarks)
    return train, whole.subset(held), f"the last {len(held)} of {len(whole)} frames"


def _pairs(spec: str | None, key: str, home: Home | None) -> Dataset | None:
    if spec is None:
        return None
    whole = images(spec, home)
    part = whole.part(key) if key in whole.splits else whole
    _require_pairs(key, part)
    return part


def _require_pairs(name: str, part: Dataset | None) -> None:
    if part is not None and not part.paired:
        raise DataError(
            f"data.{name}: {part.spec} has no pairs; expected pairs:FOLDER?a=NAME&b=NAME. Images without pairs are "
            "given as data.source and data.target."
        )
