"""Published sets of masks: where their files lie, which value is which class, how many images there are.

A set is declared by its reader (`readers/cityscapes.py`, ...) and read here: paired by the paths of its layout, headers
checked, some masks looked at for values that its table does not know. Masks are read when they are asked for.
"""

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import DataError
from studio.data.files.image_finder import walk_files
from studio.data.files.images import BadImage, upright
from studio.data.files.layout import SPLITS
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.zip_paths import source_of
from studio.data.items import Dataset, Item, Skipped
from studio.data.masks.class_map import MaskSource, Unknown
from studio.data.masks.mask_files import MaskFile
from studio.data.masks.meaning import coding_of, look_at, same_shape
from studio.data.masks.tables import Table

LOOKED_AT = 12  # masks whose values are compared with the table
DEEP = "path"  # the part of a layout that may be several folders

Opener = Callable[[Path, str, Limits], MaskSource]


@dataclass(frozen=True)
class PublishedSet:
    """A set as it is published.

    `layouts` are pairs of paths of an image and its mask, parts in braces: `{split}`, `{domain}`, `{path}` (any
    folders), and others (one folder, or part of a name). `counts` are images with truth by split ("" where the set is
    not divided): other splits are left out, and so are domains that are not among `domains`. In the splits `unlabelled`
    images have no mask. `get` says where the set comes from and how large it is. `opener` makes the class map of a
    mask's path where the set has a form of its own.
    """

    title: str
    get: str
    layouts: tuple[tuple[str, str], ...]
    table: Table
    counts: dict[str, int]
    domains: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    opener: Opener | None = None

    def instructions(self) -> str:
        """What to do where the set is not there."""
        image, mask = self.layouts[0]
        return f"{self.title} comes from {self.get}. Its images belong at {image}, their masks at {mask}."


@dataclass(frozen=True)
class Pair:
    """An image by its path and its name below the root, and its mask (None: it has no truth)."""

    image: Path
    name: str
    mask: Path | None
    split: str
    domain: str | None


def read_published(published: PublishedSet, rest: str, limits: Limits) -> Dataset:
    """The set below a folder. Raises DataError, with what to fetch and where to put it, where it is not there."""
    root = Path(rest).expanduser()
    if not root.is_dir():
        raise DataError(f"{no_such(root, 'folder')} {published.instructions()}")
    pairs, alone = find_pairs(published, root)
    if not pairs:
        lone = f" ({len(alone)} of its images are there, without masks)" if alone else ""
        raise DataError(f"{root} does not hold {published.title}{lone}. {published.instructions()}")
    return _gathered(published, root, pairs, alone, limits)


def find_pairs(published: PublishedSet, root: Path) -> tuple[list[Pair], list[str]]:
    """The images below `root` with their masks, in the order of their names; and those that lack theirs."""
    files = {below: path for path, below in walk_files(root)}
    patterns = [(_pattern(image), mask) for image, mask in published.layouts]
    pairs, alone = [], []
    for below in sorted(files):
        for pattern, mask in patterns:
            parts = pattern.fullmatch(below)
            split = SPLITS.get(parts["split"], parts["split"]) if parts and "split" in pattern.groupindex else ""
            domain = parts.groupdict().get("domain") if parts else None
            if parts is None or split not in published.counts or (domain and domain not in published.domains):
                continue
            partner = files.get(parts["top"] + mask.format(**parts.groupdict()))
            if partner is not None or split in published.unlabelled:
                pairs.append(Pair(Path(files[below]), below, partner, split, domain))  # type: ignore[arg-type]
            else:
                alone.append(below)
            break
    return pairs, alone


def _pattern(layout: str) -> re.Pattern[str]:
    """The paths of a layout, below whatever folders."""
    pieces = re.split(r"\{(\w+)\}", layout)
    texts = [re.escape(piece) if place % 2 == 0 else _part(piece) for place, piece in enumerate(pieces)]
    return re.compile(f"(?P<top>(?:.*/)?){''.join(texts)}")


def _part(name: str) -> str:
    return f"(?P<{name}>{'.+' if name == DEEP else '[^/]+?'})"


def _gathered(published: PublishedSet, root: Path, pairs: list[Pair], alone: list[str], limits: Limits) -> Dataset:
    opener, remarks = published.opener, list[str]()
    classes = list(published.table.names)
    if opener is None:
        opener, classes, remarks = _coded(published, root, pairs, limits)
    out = Dataset("", classes, [], remarks=remarks)
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda pair: _size(pair, limits), pairs))
    for pair, size in zip(pairs, sizes, strict=True):
        if isinstance(size, BadImage):
            out.skipped.append(Skipped(size.name, size.reason))
            continue
        if pair.split:
            out.splits.setdefault(pair.split, []).append(len(out.items))
        mask = Unknown(size) if pair.mask is None else opener(pair.mask, pair.name, limits)
        out.items.append(Item(pair.name, -1, source_of(pair.image), pair.domain, mask=mask))
    out.skipped += [Skipped(name, "it has no mask") for name in alone]
    out.remarks += say_counts(published.title, published.counts, Counter(pair.split for pair in pairs))
    if blank := sum(pair.mask is None for pair in pairs):
        out.remarks.append(f"{blank} images have no public truth; their masks are void all over.")
    return out


def _coded(
    published: PublishedSet, root: Path, pairs: list[Pair], limits: Limits
) -> tuple[Opener, list[str], list[str]]:
    """How masks are opened, the classes, and remarks, after a look at some of the masks."""
    masked = [pair for pair in pairs if pair.mask is not None]
    some = masked[:: max(1, len(masked) // LOOKED_AT)][:LOOKED_AT]
    looked = []
    for pair in some:
        try:
            looked.append(look_at(pair.name, source_of(pair.image), source_of(pair.mask), limits))  # type: ignore[arg-type]
        except BadImage:
            continue  # which is said where sizes are read
    if not looked:
        raise DataError(f"{root}: none of the {len(some)} masks that were looked at can be read.")
    coding, classes, remarks = coding_of(str(root), looked, published.table, None)
    if remarks:
        remarks = [f"Of {len(looked)} masks that were looked at: {' '.join(remarks)}"]
    return lambda path, name, its: MaskFile(source_of(path), name, coding, its), classes, remarks


def _size(pair: Pair, limits: Limits) -> tuple[int, int] | BadImage:
    try:
        if pair.mask is None:
            return upright(source_of(pair.image), pair.name, limits)[0]
        return same_shape(pair.name, source_of(pair.image), source_of(pair.mask), limits).shown
    except BadImage as error:
        return error


def say_counts(title: str, expected: dict[str, int], there: Counter[str]) -> list[str]:
    """A sentence on how many of a set's images are there, by split, beside how many it has."""
    parts = [f"{there[split]:,} of {count:,}{f' {split}' if split else ''}" for split, count in expected.items()]
    ending = ", all of it"
    if any(there[split] > count for split, count in expected.items()):
        ending = "; that is more than were published, so other files are among them"
    elif any(there[split] < count for split, count in expected.items()):
        ending = "; the rest is missing"
    return [f"{title}: {', '.join(parts)} images with masks are here{ending}."]
