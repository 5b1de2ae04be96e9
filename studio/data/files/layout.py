"""From file names to a dataset: class folders, with train/, val/, test/ above them or not.

Folders and zips share this; they differ only in where the bytes are.
"""

import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import PurePosixPath

from studio.core.errors import DataError
from studio.data.files.images import SUFFIXES, BadImage, inspect_image, kind_of
from studio.data.files.limits import Limits
from studio.data.files.prefetch import in_order
from studio.data.items import Dataset, ImageSource, Item, Skipped

SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
IGNORED = {"__MACOSX", "Thumbs.db", "desktop.ini"}
PHOTOS = {".heic", ".heif", ".jxl", ".jp2", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raw", ".svg", ".pdf", ".psd"}
TEXTS = {".txt", ".json", ".xml", ".csv", ".yaml", ".yml", ".md", ".html", ".py", ".npz", ".npy", ".mat", ".zip"}
TOGETHER = 16  # files that a thread looks at in one go
PROBED, QUICK_S = 100, 0.0005  # a disk that gives so many headers in so short a time each needs no threads
NAMED = 5  # more files of one foreign suffix are not named one by one
UNLABELLED = "Photos without labels are labelled under Label on the page, or with `launch.py label`."
EXAMPLE = "Expected one folder a class, such as photos/cat/1.jpg and photos/dog/1.jpg."


@dataclass(frozen=True, slots=True)
class Entry:
    """An image file whose class is known: the name people know it by, and where its bytes are."""

    name: str
    label: str
    source: ImageSource
    split: str | None = None  # train | val | test; of individuals train | query | gallery
    domain: str | None = None
    camera: str | None = None  # of individuals, see Item


def by_folders(where: str, sources: Mapping[str, ImageSource], limits: Limits) -> Dataset:
    """The dataset of files in class folders; `sources` by posix path below the root `where`.

    The first folder is the class, or the split where the folders are named train, val, test; one folder
    that wraps all images is seen through. Raises DataError where there is no class folder with images.
    """
    images, foreign = part(sources)
    if not images:
        raise DataError(f"{where} holds no images{_kinds(foreign)}. {EXAMPLE}")
    inner = _below_wrapping(images)
    divided = _is_divided({path.parts[0] for path in inner if len(path.parts) > 2})
    entries, skipped = [], _skipped(foreign)
    for path, whole in zip(inner, map(str, images), strict=True):
        split = SPLITS.get(path.parts[0].lower()) if divided and len(path.parts) > 1 else None
        folders = path.parts[1 if split else 0 : -1]
        if divided and split is None:
            skipped.append(Skipped(whole, "it lies beside train/, val/ and test/, in none of them"))
        elif not folders:
            skipped.append(Skipped(whole, "it lies in no class folder"))
        else:
            entries.append(Entry(whole, folders[0], sources[whole], split))
    if not entries:
        raise DataError(f"{where} holds {len(images)} images, but in no class folder. {EXAMPLE} {UNLABELLED}")
    return gather(where, entries, skipped, limits)


def part(sources: Mapping[str, ImageSource]) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    """Images and other files, each sorted; what operating systems leave behind is neither."""
    images, foreign = [], []
    for path in sorted(map(PurePosixPath, sources), key=attrgetter("parts")):
        if _is_ignored(path):
            continue
        (images if _is_image(path, sources[str(path)]) else foreign).append(path)
    return images, foreign


def _is_image(path: PurePosixPath, source: ImageSource) -> bool:
    """By its suffix, and by its first bytes where that says nothing. A raw photo looks like a TIFF, and is none."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or suffix in TEXTS:
        return suffix in SUFFIXES
    kind = kind_of(source)
    return kind is not None and not (suffix in PHOTOS and kind == "TIFF")


def gather(where: str, entries: Iterable[Entry], skipped: list[Skipped], limits: Limits) -> Dataset:
    """The dataset of `entries` whose header can be read; the others join `skipped`, by name and reason.

    A class without a single usable file is left out, and named too. Raises DataError where none is usable.
    """
    entries = [_composed(entry) for entry in entries]
    reasons = _reasons(entries, limits)
    skipped = skipped + [
        Skipped(entry.name, reason) for entry, reason in zip(entries, reasons, strict=True) if reason is not None
    ]
    good = [entry for entry, reason in zip(entries, reasons, strict=True) if reason is None]
    if not good:
        raise DataError(f"{where}: none of its {len(entries)} image files can be used. {_first(skipped)}")
    classes = sorted({entry.label for entry in good})
    lost = Counter(entry.label for entry in entries if entry.label not in classes)
    skipped += [Skipped(f"class {name}", f"none of its {count} files can be used") for name, count in lost.items()]
    index_of = {name: index for index, name in enumerate(classes)}
    items = [Item(entry.name, index_of[entry.label], entry.source, entry.domain, camera=entry.camera) for entry in good]
    splits: dict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(good):
        if entry.split is not None:
            splits[entry.split].append(index)
    return Dataset(where, classes, items, skipped, dict(splits))


def _composed(entry: Entry) -> Entry:
    """With its class in the one form of accents that all systems but macOS write."""
    label = unicodedata.normalize("NFC", entry.label)
    return entry if label == entry.label else replace(entry, label=label)


def _reasons(entries: list[Entry], limits: Limits) -> list[str | None]:
    """Why each can't be used. Where the first are not there at once, threads wait for the others."""
    begun = time.perf_counter()
    first = [_reason(entry, limits) for entry in entries[:PROBED]]
    others = entries[PROBED:]
    if time.perf_counter() - begun < QUICK_S * len(first):
        return first + [_reason(entry, limits) for entry in others]
    with ThreadPoolExecutor(8) as pool:
        return [*first, *in_order(pool, lambda entry: _reason(entry, limits), others, len(others), TOGETHER)]


def _reason(entry: Entry, limits: Limits) -> str | None:
    if getattr(entry.source, "far", False):  # told when it is read: a million requests only to look would take hours
        return None
    try:
        inspect_image(entry.source, entry.name, limits)
    except BadImage as error:
        return error.reason
    return None


def _is_ignored(path: PurePosixPath) -> bool:
    """What operating systems leave behind."""
    return any(part in IGNORED or part.startswith(".") for part in path.parts)


def _below_wrapping(paths: list[PurePosixPath]) -> list[PurePosixPath]:
    """Paths without folders that wrap everything: one folder around folders is no class."""
    while len({path.parts[0] for path in paths}) == 1 and all(len(path.parts) > 2 for path in paths):
        if paths[0].parts[0].lower() in SPLITS:
            break
        paths = [PurePosixPath(*path.parts[1:]) for path in paths]
    return paths


def _is_divided(tops: set[str]) -> bool:
    """Whether the top folders are splits. A class may be called test: then there is no train beside it."""
    splits = {top for top in tops if top.lower() in SPLITS}
    return bool(splits) and (splits == tops or any(SPLITS[top.lower()] == "train" for top in splits))


def _skipped(foreign: list[PurePosixPath]) -> list[Skipped]:
    """Files that are no images: photos of other kinds by name, the rest by name or, where many, together."""
    by_suffix: dict[str, list[str]] = defaultdict(list)
    for path in foreign:
        by_suffix[path.suffix.lower()].append(str(path))
    skipped = []
    for suffix, names in by_suffix.items():
        if suffix in PHOTOS:
            skipped += [Skipped(name, f"{suffix} can't be read here; export it as JPEG or PNG") for name in names]
        elif len(names) > NAMED:
            skipped.append(Skipped(f"{len(names)} files *{suffix}, such as {names[0]}", "they are no image files"))
        else:
            skipped += [Skipped(name, "it is no image file") for name in names]
    return skipped


def _kinds(foreign: list[PurePosixPath]) -> str:
    if not foreign:
        return "; it is empty"
    suffixes = Counter(path.suffix.lower() or "without suffix" for path in foreign)
    kinds = ", ".join(suffix for suffix, _ in suffixes.most_common(4))
    advice = "; HEIC photos must be exported as JPEG" if {".heic", ".heif"} & suffixes.keys() else ""
    return f", only {len(foreign)} other files ({kinds}){advice}"


def _first(skipped: list[Skipped]) -> str:
    named = "; ".join(f"{skip.name}: {skip.reason}" for skip in skipped[:3])
    return f"{named}{' ...' if len(skipped) > 3 else ''}."
