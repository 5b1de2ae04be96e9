"""The report card of a dataset: counts, broken files, duplicates, leaks between splits, imbalance."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from studio.core.home import Home
from studio.data.checks.boxes import box_problems, boxes_by_class, measure_boxes, what_is_learned
from studio.data.checks.fingerprints import Fingerprint, fingerprint_of, near_groups
from studio.data.checks.identities import identity_problems, measure_identities, what_identities_teach
from studio.data.checks.masks import (
    Counts,
    count_pixels,
    mask_problems,
    measure_masks,
    pixels_of_classes,
    what_masks_teach,
)
from studio.data.files.images import BadImage, Size, range_of, read_image, stored_size
from studio.data.files.limits import limits_of
from studio.data.items import ArraySource, Dataset, FeatureSet, Item
from studio.data.specs import open_data

FEW = 5  # images a class below which even a few-shot head is fragile
UNEVEN = 3  # times the smallest class that the largest may have before it is said
TINY = 32  # pixels of the short side that say little, where most images have many more

OnImage = Callable[[int, Image.Image], None]  # told the row and the RGB image of what could be read


@dataclass
class Report:
    """What was found; `problems` are sentences for a person, most pressing first.

    Groups of images are lists of names: `duplicates` are the same file twice, `near_duplicates` the same photo saved in
    another way; `leaks` and `near_leaks` are those of them that lie in two splits, `conflicts` exact ones that lie in
    two classes. `sizes` are sides in pixels. `truth` is what the items carry: labels, boxes, masks, pairs or none.
    `classes` and `splits` count boxes for detection, and pixels for segmentation; `boxes` says how large those are,
    `masks` what share of the pixels a class has, `identities` who is seen by which cameras. `learns` says what a run
    would learn from: of train, where the data is divided.
    """

    spec: str
    images: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    domains: dict[str, int] = field(default_factory=dict)
    broken: list[dict[str, str]] = field(default_factory=list)
    duplicates: list[list[str]] = field(default_factory=list)
    near_duplicates: list[list[str]] = field(default_factory=list)
    leaks: list[list[str]] = field(default_factory=list)
    near_leaks: list[list[str]] = field(default_factory=list)
    conflicts: list[list[str]] = field(default_factory=list)
    imbalance: float = 1.0
    sizes: dict[str, int] = field(default_factory=dict)
    tiny: list[str] = field(default_factory=list)
    features: dict[str, int] = field(default_factory=dict)
    boxes: dict[str, Any] = field(default_factory=dict)
    masks: dict[str, Any] = field(default_factory=dict)
    identities: dict[str, Any] = field(default_factory=dict)
    truth: str = "labels"
    learns: str = ""
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Seen:
    """One readable image."""

    digest: str
    fingerprint: Fingerprint
    size: Size
    range: str | None  # what its values are taken for, where they have more than 8 bits


def check(spec: str, home: Home | None = None) -> Report:
    """Reads every image of `spec` once, for whom `home` is opened, and reports.

    Raises DataError where it can't be opened at all.
    """
    return check_data(open_data(spec, limits_of(home)), spec)


def check_data(data: Dataset | FeatureSet, spec: str, on_image: OnImage | None = None, min_side: int = 32) -> Report:
    """As `check`, of data that are open.

    `on_image`, which several threads call, is given each image that can be read; `min_side` says how small it will be
    resized (pixels of its short side).
    """
    if isinstance(data, FeatureSet):
        return _check_features(spec, data)
    report = Report(spec, broken=[{"name": skip.name, "reason": skip.reason} for skip in data.skipped])
    seen: dict[int, _Seen] = {}
    for index, image in enumerate(_see_all(data.items, on_image, min_side)):
        if isinstance(image, BadImage):
            report.broken.append({"name": image.name, "reason": image.reason})
        else:
            seen[index] = image
    report.truth = data.truth
    pixels = count_pixels(data, seen) if data.masked else None
    _count(report, data, seen, pixels)
    _measure(report, data, seen)
    _compare(report, data, seen)
    if data.boxed:
        report.boxes = measure_boxes(data, {index: image.size for index, image in seen.items()})
        class_problems = box_problems(report.classes, report.splits, report.boxes)
        counts = report.splits.get("train", report.classes)
        rows = [row for row in data.splits.get("train", range(len(data))) if row in seen]
        report.learns = what_is_learned(counts, report.boxes, len(rows))
    elif pixels is not None:
        report.masks = measure_masks(data, pixels)
        class_problems = mask_problems(report.splits, report.masks, pixels)
        train = [row for row in data.splits.get("train", range(len(data))) if row in pixels.rows]
        report.learns = what_masks_teach(report.splits.get("train", report.classes), len(train))
    elif data.identified:
        report.identities = measure_identities(data, seen)
        class_problems = identity_problems(data, report.identities)
        train = [row for row in data.splits.get("train", range(len(data))) if row in seen]
        report.learns = what_identities_teach(measure_identities(data, train))
    elif data.classes:
        class_problems = _class_problems(report)
        report.learns = _what_is_learned(report)
    else:
        class_problems, report.learns = [], _what_looks_teach(data, seen)
    report.problems = [*data.remarks, *_image_problems(report, data), *_ranges(data, seen), *class_problems]
    return report


def _see_all(items: list[Item], on_image: OnImage | None, min_side: int) -> list[_Seen | BadImage]:
    def see(row: int) -> _Seen | BadImage:
        item = items[row]
        try:
            raw = item.source.read()
            image = read_image(raw, item.name, min_side=min_side)
            size, values = stored_size(raw, item.name), range_of(raw, item.name)
        except OSError as error:
            return BadImage(item.name, f"it can't be read ({error})")
        except BadImage as error:
            return error
        digest = hashlib.sha256(raw).hexdigest() if isinstance(raw, bytes) else ArraySource(raw).digest()
        if on_image is not None:
            on_image(row, image)
        return _Seen(digest, fingerprint_of(image), size, values)

    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        return list(pool.map(see, range(len(items))))


def _count(report: Report, data: Dataset, seen: dict[int, _Seen], pixels: Counts | None) -> None:
    def by_class(indices: list[int]) -> dict[str, int]:
        if pixels is not None:
            return pixels_of_classes(data, pixels, indices)
        if data.boxed:
            return boxes_by_class(data, indices)
        counted = Counter(data.items[i].label for i in indices)
        return {name: counted.get(label, 0) for label, name in enumerate(data.classes)}

    report.images = len(seen)
    report.classes = by_class(list(seen))
    report.splits = {name: by_class([i for i in members if i in seen]) for name, members in data.splits.items()}
    report.domains = dict(Counter(domain for i in seen if (domain := data.items[i].domain) is not None))
    report.imbalance = _imbalance(report.classes)


def _imbalance(classes: dict[str, int]) -> float:
    counts = [count for count in classes.values() if count]
    return round(max(counts) / min(counts), 2) if counts else 1.0


def _measure(report: Report, data: Dataset, seen: dict[int, _Seen]) -> None:
    if not seen:
        return
    short = np.array([min(image.size) for image in seen.values()])
    report.sizes = {
        "smallest_side": int(short.min()),
        "median_short_side": int(np.median(short)),
        "largest_side": max(max(image.size) for image in seen.values()),
    }
    if np.median(short) >= 4 * TINY:
        report.tiny = [data.items[i].name for i, image in seen.items() if min(image.size) < TINY]


def _compare(report: Report, data: Dataset, seen: dict[int, _Seen]) -> None:
    split_of = {index: name for name, members in data.splits.items() for index in members}

    def names(group: list[int]) -> list[str]:
        return [data.items[i].name for i in group]

    def in_two_splits(group: list[int]) -> bool:
        return len({split_of.get(i) for i in group}) > 1

    by_digest: dict[str, list[int]] = defaultdict(list)
    for index, image in seen.items():
        by_digest[image.digest].append(index)
    same = [group for group in by_digest.values() if len(group) > 1]
    firsts = [group[0] for group in by_digest.values()]  # one of each content goes on to the second comparison
    near = [[firsts[i] for i in group] for group in near_groups([seen[i].fingerprint for i in firsts])]
    report.duplicates = list(map(names, same))
    report.near_duplicates = list(map(names, near))
    report.leaks = [names(group) for group in same if in_two_splits(group)]
    report.near_leaks = [names(group) for group in near if in_two_splits(group)]
    report.conflicts = [names(group) for group in same if len({data.items[i].label for i in group}) > 1]


def _image_problems(report: Report, data: Dataset) -> list[str]:
    sentences = []
    if report.broken:
        named = [f"{entry['name']} ({entry['reason']})" for entry in report.broken]
        sentences.append(f"Left out: {_listed(named, 5)}.")
    sentences += _groups("in two splits, so scores would be too good", report.leaks)
    sentences += _groups("nearly the same in two splits, so scores would be too good", report.near_leaks)
    sentences += _groups("in two classes", report.conflicts)
    sentences += _groups("there more than once", report.duplicates)
    sentences += _groups("there again, nearly the same", report.near_duplicates)
    if report.tiny:
        sentences.append(f"Smaller than {TINY} pixels on a side: {_listed(report.tiny, 3)}.")
    inner = _inner_folders(data)
    if inner:
        sentences.append(
            f"Every class folder holds the same folders ({_listed(inner, 4)}). If these are the classes, and the "
            f"upper ones are domains ({_listed(data.classes, 4)}), join them by commas: folder:A/{data.classes[0]},..."
        )
    return sentences


def _ranges(data: Dataset, seen: dict[int, _Seen]) -> list[str]:
    """What values of more than 8 bits are taken for: told from each image alone, so it may differ between them."""
    by_range: dict[str, list[str]] = defaultdict(list)
    for index, image in seen.items():
        if image.range is not None:
            by_range[image.range].append(data.items[index].name)
    read = ", ".join(f"{len(names)} as {kind} ({names[0]})" for kind, names in sorted(by_range.items()))
    if len(by_range) > 1:
        return [
            f"Images of more than 8 bits are read by the values in each: {read}. The same brightness may come out "
            "differently; save all of them in 8 bits, or in one range."
        ]
    return [f"Images of more than 8 bits are read by the values in each: {read}."] if by_range else []


def _what_is_learned(report: Report) -> str:
    """What a run would learn from, in a sentence: the classes and images of train, where the data is divided."""
    counts = report.splits.get("train", report.classes)
    present = [count for count in counts.values() if count]
    if len(present) < 2:
        return f"nothing: {len(present)} classes have any, and it takes two to tell them apart"
    never = [name for name, count in counts.items() if not count]
    unit = "rows" if report.features else "images"
    return f"{len(present)} classes from {sum(present)} {unit}" + (f"; never: {_listed(never, 10)}" if never else "")


def _what_looks_teach(data: Dataset, seen: dict[int, _Seen]) -> str:
    """What a run would learn from, where images have no class: a look, or one look from another."""
    train = [row for row in data.splits.get("train", range(len(data))) if row in seen]
    return f"{len(train)} pairs of images" if data.paired else f"one look, from {len(train)} images without classes"


def _class_problems(report: Report) -> list[str]:
    sentences = []
    present = [name for name, count in report.classes.items() if count]
    if len(present) < 2 and report.classes:
        sentences.append(f"Only {len(present)} class has images; at least two are needed to tell anything apart.")
    few = [f"{name} ({count})" for name, count in report.classes.items() if count < FEW]
    if few:
        sentences.append(f"Classes with fewer than {FEW} images: {_listed(few, 10)}. More photos help most here.")
    if report.imbalance > UNEVEN:
        sentences.append(f"The largest class has {report.imbalance:g} times as many as the smallest.")
    train = report.splits.get("train", {})
    for split, counts in report.splits.items():
        lacking = [name for name, count in counts.items() if count and not train.get(name)]
        if train and lacking:
            sentences.append(f"Classes of {split} that train has not: {_listed(lacking, 10)}.")
    return sentences


def _groups(what: str, groups: list[list[str]]) -> list[str]:
    if not groups:
        return []
    verb = "1 image is" if len(groups) == 1 else f"{len(groups)} images are"
    return [f"{verb} {what}: {_listed([' = '.join(group[:3]) for group in groups], 2)}."]


def _listed(names: list[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _inner_folders(data: Dataset) -> list[str]:
    """The folders below the class folders, where each of several classes holds the same two or more."""
    inner: dict[int, set[str]] = defaultdict(set)
    if not data.classes:
        return []
    for item in data.items:
        parts = item.name.split("/")
        if data.classes[item.label] not in parts[:-2]:
            return []
        inner[item.label].add(parts[parts.index(data.classes[item.label]) + 1])
    sets = list(inner.values())
    return sorted(sets[0]) if len(sets) > 1 and len(sets[0]) > 1 and all(folders == sets[0] for folders in sets) else []


def _check_features(spec: str, data: FeatureSet) -> Report:
    counted = Counter(data.y.tolist())
    classes = {name: counted.get(label, 0) for label, name in enumerate(data.classes)}
    finite = np.isfinite(data.x)
    bad_rows = int((~finite.all(axis=1)).sum())
    columns = np.where(finite, data.x, 0)
    constant = int((columns.max(axis=0) == columns.min(axis=0)).sum())
    repeated = len(data) - len({row.tobytes() for row in data.x})
    report = Report(spec, len(data), classes, imbalance=_imbalance(classes))
    report.features = {
        "columns": data.x.shape[1],
        "constant_columns": constant,
        "bad_rows": bad_rows,
        "repeated_rows": repeated,
    }
    if data.domains is not None:
        report.domains = dict(Counter(data.domains.tolist()))
    if bad_rows:
        report.problems.append(f"{bad_rows} of {len(data)} rows hold NaN or infinite values.")
    if constant:
        report.problems.append(f"{constant} of {data.x.shape[1]} feature columns are constant.")
    if repeated:
        report.problems.append(f"{repeated} rows repeat another row.")
    report.problems += _class_problems(report)
    report.learns = _what_is_learned(report)
    return report
