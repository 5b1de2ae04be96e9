"""The layouts of public sets of individuals: where they keep train, query and gallery, and how files are named."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath

from studio.core.errors import DataError
from studio.data.files.image_finder import walk_files
from studio.data.files.images import SUFFIXES
from studio.data.files.layout import Entry
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.identities.entries import NOBODY

JUNK = -1  # in the names of Market-1501 and those that follow it: badly cut images
WITHDRAWN = (
    "DukeMTMC was withdrawn by Duke University in 2019: it showed students who had not agreed to it, and had been used "
    "to build surveillance. Its layout is read for those who must compare with old numbers; do not pass it on."
)


@dataclass(frozen=True)
class Published:
    """A public set. `folders` are those of its splits; `pattern` finds identity and camera in a name; `nobody` is the
    number of distractors."""

    title: str
    folders: Mapping[str, str]
    pattern: re.Pattern[str]
    example: str
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # images and individuals of each split
    remark: str = ""
    nobody: int | None = None


OF_MARKET = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
SETS = {
    "market1501": Published(
        "Market-1501", OF_MARKET, re.compile(r"(-?\d+)_c(\d+)"), "bounding_box_train/0002_c1s1_000451_03.jpg",
        {"train": (12_936, 751), "query": (3_368, 750), "gallery": (15_913, 750)}, nobody=0,
    ),
    "dukemtmc": Published(
        "DukeMTMC-reID", OF_MARKET, re.compile(r"(-?\d+)_c(\d+)"), "bounding_box_train/0001_c2_f0046182.jpg",
        {"train": (16_522, 702), "query": (2_228, 702), "gallery": (17_661, 1_110)}, WITHDRAWN,
    ),
    "veri776": Published(
        "VeRi-776", {"train": "image_train", "query": "image_query", "gallery": "image_test"},
        re.compile(r"(\d+)_c(\d+)"), "image_train/0001_c001_00016450_0.jpg",
        {"train": (37_778, 576), "query": (1_678, 200), "gallery": (11_579, 200)},
    ),
}  # fmt: skip


@dataclass
class Reading:
    """What a layout found: entries of usable individuals, and what a person should know."""

    entries: list[Entry]
    remarks: list[str] = field(default_factory=list)


def read_named(layout: str, root: AnyPath, limits: Limits) -> Reading:
    """Market-1501, DukeMTMC-reID and VeRi-776. Raises DataError where a folder is missing or no name fits."""
    known = SETS[layout]
    missing = [folder for folder in known.folders.values() if not (root / folder).is_dir()]
    if missing:
        raise not_there(known.title, root, missing, known.example)
    entries, odd, junk = list[Entry](), list[str](), 0
    for split, folder in known.folders.items():
        for path, below in images_below(root / folder):
            match = known.pattern.match(path.name)
            if match is None:
                odd.append(f"{folder}/{below}")
            elif int(match[1]) == JUNK:
                junk += 1
            else:
                label = NOBODY if int(match[1]) == known.nobody else f"{int(match[1]):04d}"
                camera = str(int(match[2]))
                entries.append(Entry(f"{folder}/{below}", label, source_of(path), split, camera=camera))
    if not entries:
        raise DataError(f"{root}: no name is like {known.example}, as those of {known.title} are.")
    remarks = [known.remark] if known.remark else []
    if junk:
        remarks.append(f"{junk} junk images (-1) are left out, as the protocol of {known.title} has it.")
    if odd:
        remarks.append(f"{len(odd)} names are not like {known.example} and are left out, such as {odd[0]}.")
    return Reading(entries, remarks + counted(entries, known.counts, known.title))


def read_viper(root: AnyPath, limits: Limits) -> Reading:
    """VIPeR: cam_a and cam_b with an image of each of 632 persons; undivided, since its protocol draws halves."""
    missing = [folder for folder in ("cam_a", "cam_b") if not (root / folder).is_dir()]
    if missing:
        raise not_there("VIPeR", root, missing, "cam_a/000_45.bmp")
    entries = [
        Entry(f"{folder}/{below}", path.name.split("_")[0], source_of(path), camera=folder[-1])
        for folder in ("cam_a", "cam_b") for path, below in images_below(root / folder)
    ]  # fmt: skip
    return Reading(entries, counted(entries, {"": (1_264, 632)}, "VIPeR"))


def read_pku(root: AnyPath, limits: Limits) -> Reading:
    """PKU-Reid: a folder each person, files CAMERA_VIEW.png; undivided, since its protocol draws halves."""
    entries = []
    for path, below in images_below(root):
        parts = PurePosixPath(below)
        camera = path.stem.split("_")
        if len(parts.parts) < 2 or len(camera) != 2 or not camera[0].isdigit():
            raise DataError(f"{root}: {below} is not like 001/1_3.png (person, camera and view), as PKU-Reid's are.")
        entries.append(Entry(below, parts.parts[-2], source_of(path), camera=camera[0]))
    return Reading(entries)


def images_below(root: AnyPath) -> list[tuple[AnyPath, str]]:
    """Image files with their posix path below a folder, by name."""
    return [(path, below) for path, below in walk_files(root) if PurePosixPath(below).suffix.lower() in SUFFIXES]


def counted(entries: list[Entry], counts: Mapping[str, tuple[int, int]], title: str) -> list[str]:
    """A remark for each split of which another number of images or individuals is published."""
    images = Counter(entry.split or "" for entry in entries)
    people = {name: len({e.label for e in entries if (e.split or "") == name and e.label != NOBODY}) for name in counts}
    return [
        f"{title}: {images[name]:,} images of {people[name]:,} individuals{' in ' + name if name else ''}; the whole "
        f"set has {many:,} of {each:,}."
        for name, (many, each) in counts.items()
        if (images[name], people[name]) != (many, each)
    ]


def not_there(title: str, root: AnyPath, missing: list[str], example: str) -> DataError:
    """The error for a layout of which a part is missing."""
    return DataError(f"{root}: {', '.join(missing)} is not there; expected the layout of {title}, such as {example}.")


READERS: dict[str, Callable[[AnyPath, Limits], Reading]] = {
    **{name: partial(read_named, name) for name in SETS},
    "viper": read_viper,
    "pku": read_pku,
}
