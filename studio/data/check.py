"""The report card of a dataset: counts, broken files, duplicates, leaks between splits, imbalance."""

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from studio.data.digests import digests
from studio.data.images import BadImage, read_image
from studio.data.items import Dataset, FeatureSet, Item
from studio.data.readers import open_data

FEW = 5  # images a class below which even a few-shot head is fragile
NEAR = 4  # bits of 64 that near duplicates may differ in
BANDS = 8  # 64 bits in 8 bands: hashes that differ in at most 7 bits share a band
CROWD = 60  # more pictures than this in one band bucket are too alike to compare pair by pair


@dataclass
class Report:
    """What was found; `problems` are sentences for a person."""

    spec: str
    images: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    broken: list[dict[str, str]] = field(default_factory=list)
    duplicates: list[list[str]] = field(default_factory=list)
    near_duplicates: list[list[str]] = field(default_factory=list)
    leaks: list[list[str]] = field(default_factory=list)
    conflicts: list[list[str]] = field(default_factory=list)
    imbalance: float = 1.0
    sizes: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def check(spec: str) -> Report:
    """Reads every image of `spec` once and reports. Raises DataError where it can't be opened at all."""
    data = open_data(spec)
    if isinstance(data, FeatureSet):
        return _check_features(spec, data)
    report = Report(spec, splits={name: _counts(data.part(name)) for name in data.splits})
    looks = _look(data.items)
    good = [i for i, look in enumerate(looks) if not isinstance(look, str)]
    report.broken = [{"name": skip.name, "reason": skip.reason} for skip in data.skipped]
    report.broken += [
        {"name": item.name, "reason": looks[i]} for i, item in enumerate(data.items) if i not in set(good)
    ]
    kept = data.subset(good)
    report.images, report.classes = len(kept), _counts(kept)
    shapes = np.array([looks[i][1] for i in good] or [(0, 0)])
    report.sizes = {"smallest_side": int(shapes.min()), "largest_side": int(shapes.max())}
    _find_duplicates(report, data, good, looks)
    _judge(report)
    return report


def _counts(data: Dataset) -> dict[str, int]:
    counted = Counter(item.label for item in data.items)
    return {name: counted.get(index, 0) for index, name in enumerate(data.classes)}


def _look(items: list[Item]) -> list[Any]:
    """Of each image (difference hash, (width, height)), or the reason why it can't be read."""

    def one(item: Item) -> Any:
        try:
            image = read_image(item.source, item.name, min_side=32)
        except BadImage as error:
            return error.reason
        return difference_hash(image), image.size

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, items, chunksize=8))


def difference_hash(image: Image.Image) -> int:
    """64 bits: whether each of 8 x 8 cells is brighter than its right neighbour, of the picture at 9 x 8."""
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = (grey[:, :-1] > grey[:, 1:]).reshape(-1)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _find_duplicates(report: Report, data: Dataset, good: list[int], looks: list[Any]) -> None:
    found = digests([data.items[i].source for i in good])
    same: dict[str, list[int]] = defaultdict(list)
    for i, digest in zip(good, found, strict=True):
        if digest:
            same[digest].append(i)
    split_of = {i: name for name, members in data.splits.items() for i in members}
    for members in same.values():
        if len(members) > 1:
            report.duplicates.append([data.items[i].name for i in members])
            _mark_pair(report, data, members, split_of)
    firsts = {members[0]: looks[members[0]][0] for members in same.values()}
    for first, second in near_pairs(firsts):
        report.near_duplicates.append([data.items[first].name, data.items[second].name])
        if split_of.get(first) != split_of.get(second):
            report.leaks.append([data.items[first].name, data.items[second].name])


def _mark_pair(report: Report, data: Dataset, members: list[int], split_of: dict[int, str]) -> None:
    names = [data.items[i].name for i in members]
    if len({split_of.get(i) for i in members}) > 1:
        report.leaks.append(names)
    if len({data.items[i].label for i in members}) > 1:
        report.conflicts.append(names)


def near_pairs(hashes: dict[int, int]) -> list[tuple[int, int]]:
    """Pairs whose hashes differ in at most NEAR bits; flat pictures (nearly no bit set) are left out.

    Hashes are compared only where they share one of BANDS bytes, which any pair that close does.
    """
    telling = {i: value for i, value in hashes.items() if 6 <= value.bit_count() <= 58}
    buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, value in telling.items():
        for band in range(BANDS):
            buckets[band, (value >> (8 * band)) & 0xFF].append(i)
    pairs = set()
    for members in buckets.values():
        if len(members) > CROWD:
            continue
        for place, first in enumerate(members):
            for second in members[place + 1 :]:
                if (telling[first] ^ telling[second]).bit_count() <= NEAR:
                    pairs.add((min(first, second), max(first, second)))
    return sorted(pairs)


def _judge(report: Report) -> None:
    counts = {name: count for name, count in report.classes.items() if count}
    say = report.problems.append
    if len(counts) < 2:
        say(f"Only {len(counts)} class has images; at least two are needed to tell anything apart.")
    if report.broken:
        named = "; ".join(f"{entry['name']} ({entry['reason']})" for entry in report.broken[:5])
        say(f"{len(report.broken)} files were left out: {named}{' ...' if len(report.broken) > 5 else ''}")
    few = [f"{name} ({count})" for name, count in report.classes.items() if count < FEW]
    if few:
        say(f"Classes with fewer than {FEW} images: {', '.join(few[:10])}. More photos help most here.")
    if counts:
        report.imbalance = round(max(counts.values()) / min(counts.values()), 2)
        if report.imbalance > 3:
            say(f"The largest class has {report.imbalance:g} times the images of the smallest.")
    if report.duplicates:
        pair = " = ".join(report.duplicates[0][:2])
        say(f"{len(report.duplicates)} pictures appear more than once, for example {pair}.")
    if report.near_duplicates:
        pair = " ~ ".join(report.near_duplicates[0])
        say(f"{len(report.near_duplicates)} pairs of pictures are nearly the same, for example {pair}.")
    if report.leaks:
        pair = " = ".join(report.leaks[0][:2])
        say(f"{len(report.leaks)} pictures are in two splits, so scores would be too good, for example {pair}.")
    if report.conflicts:
        say(f"{len(report.conflicts)} pictures lie in two classes, for example {' = '.join(report.conflicts[0][:2])}.")


def _check_features(spec: str, data: FeatureSet) -> Report:
    counted = Counter(data.y.tolist())
    report = Report(spec, len(data), {name: counted.get(i, 0) for i, name in enumerate(data.classes)})
    _judge(report)
    bad = int((~np.isfinite(data.x)).any(axis=1).sum())
    if bad:
        report.problems.append(f"{bad} rows hold NaN or infinite values.")
    flat = int((data.x.std(axis=0) == 0).sum())
    if flat:
        report.problems.append(f"{flat} of {data.x.shape[1]} feature columns are constant.")
    return report
