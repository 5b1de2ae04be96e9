"""The layouts of public sets of individuals: where they keep train, query and gallery, and how files are named."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from studio.core.errors import DataError
from studio.data.files.annotation_files import read_lines
from studio.data.files.image_finder import walk_files
from studio.data.files.images import SUFFIXES
from studio.data.files.layout import Entry
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.identities.entries import NOBODY

JUNK, DISTRACTOR = -1, 0  # in the names of Market-1501: badly cut images, and those of nobody
WITHDRAWN = (
    "DukeMTMC was withdrawn by Duke University in 2019: it showed students who had not agreed to it, and had been used "
    "to build surveillance. Its layout is read for those who must compare with old numbers; do not pass it on."
)


@dataclass(frozen=True)
class Published:
    """A public set. `folders` are those of its splits; `pattern` finds identity and camera in a name."""

    title: str
    folders: Mapping[str, str]
    pattern: re.Pattern[str]
    example: str
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # images and individuals of each split
    remark: str = ""


OF_MARKET = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
SETS = {
    "market1501": Published(
        "Market-1501", OF_MARKET, re.compile(r"(-?\d+)_c(\d+)"), "bounding_box_train/0002_c1s1_000451_03.jpg",
        {"train": (12_936, 751), "query": (3_368, 750), "gallery": (15_913, 750)},
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
MSMT17 = {"train": (32_621, 1_041), "query": (11_659, 3_060), "gallery": (82_161, 3_060)}


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
        raise _not_there(known.title, root, missing, known.example)
    entries, odd = [], []
    junk = 0
    for split, folder in known.folders.items():
        for path, below in images_below(root / folder):
            match = known.pattern.match(path.name)
            if match is None:
                odd.append(f"{folder}/{below}")
                continue
            identity, camera = int(match[1]), str(int(match[2]))
            if identity == JUNK:
                junk += 1
                continue
            nobody = identity == DISTRACTOR and layout == "market1501"
            label = NOBODY if nobody else f"{identity:04d}"
            entries.append(Entry(f"{folder}/{below}", label, source_of(path), split, camera=camera))
    if not entries:
        raise DataError(f"{root}: no name is like {known.example}, as those of {known.title} are.")
    remarks = [known.remark] if known.remark else []
    if junk:
        remarks.append(f"{junk} junk images (-1) are left out, as the protocol of {known.title} has it.")
    if odd:
        remarks.append(f"{len(odd)} names are not like {known.example} and are left out, such as {odd[0]}.")
    return Reading(entries, remarks + counted(entries, known.counts, known.title))


def read_msmt17(root: AnyPath, limits: Limits) -> Reading:
    """MSMT17 of either version, by its lists; train and val are learned from together."""
    wanted = {
        "list_train.txt": "train",
        "list_val.txt": "train",
        "list_query.txt": "query",
        "list_gallery.txt": "gallery",
    }
    folders = {
        split: next((name for name in names if (root / name).is_dir()), None)
        for split, names in {"train": ("train", "mask_train_v2"), "test": ("test", "mask_test_v2")}.items()
    }
    missing = [file for file in wanted if not (root / file).is_file()]
    missing += [f"{split}/" for split, folder in folders.items() if folder is None]
    if missing:
        raise _not_there("MSMT17", root, missing, "train/0000/0000_000_01_0303morning_0008_0.jpg and list_train.txt")
    entries, absent = [], []
    for file, split in wanted.items():
        folder = root / str(folders["train" if split == "train" else "test"])
        for line in read_lines(root / file, limits):
            name = line.split()[0]
            parts = PurePosixPath(name).name.split("_")
            if len(parts) < 3 or not parts[2].isdigit() or ".." in PurePosixPath(name).parts:
                raise DataError(f"{file}: {line[:80]!r} is not like 0000/0000_000_01_0303morning_0008_0.jpg 0.")
            if not (folder / name).is_file():
                absent.append(name)
                continue
            who = ("" if split == "train" else "test-") + parts[0]  # both number their persons from 0 on
            entries.append(
                Entry(f"{folder.name}/{name}", who, source_of(folder / name), split, camera=str(int(parts[2])))
            )
    if not entries:
        raise DataError(f"{root}: none of the {len(absent)} images that its lists name is there.")
    remarks = [f"{len(absent)} images that the lists name are missing, such as {absent[0]}."] if absent else []
    return Reading(entries, remarks + counted(entries, MSMT17, "MSMT17"))


def read_viper(root: AnyPath, limits: Limits) -> Reading:
    """VIPeR: cam_a and cam_b with an image of each of 632 persons; undivided, since its protocol draws halves."""
    missing = [folder for folder in ("cam_a", "cam_b") if not (root / folder).is_dir()]
    if missing:
        raise _not_there("VIPeR", root, missing, "cam_a/000_45.bmp")
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


def _not_there(title: str, root: AnyPath, missing: list[str], example: str) -> DataError:
    return DataError(f"{root}: {', '.join(missing)} is not there; expected the layout of {title}, such as {example}.")


READERS: dict[str, Callable[[AnyPath, Limits], Reading]] = {
    **{name: lambda root, limits, name=name: read_named(name, root, limits) for name in SETS},  # type: ignore[misc]
    "msmt17": read_msmt17,
    "viper": read_viper,
    "pku": read_pku,
}
