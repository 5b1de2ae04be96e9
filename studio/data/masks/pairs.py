"""Which mask belongs to which image: by name, wherever the two kinds of files lie.

Folders say what is a mask (masks/, annotations/, labels/, gtFine/, trainannot/, SegmentationClass/, ...) or the names
of files do (a_mask.png beside a.jpg). What is left of a path then, without train/, val/ and test/, must be the same.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from unicodedata import normalize

from studio.core.errors import DataError
from studio.data.files.images import SUFFIXES
from studio.data.files.layout import SPLITS
from studio.data.files.zip_paths import AnyPath

MASKS = re.compile(
    r"mask|annot|(?<!un)label|segmentationclass|segmentation$|gtfine|gtcoarse|ground.?truth|^gts?$", re.I
)
NOT_CLASSES = re.compile(r"segmentationobject|instance", re.I)  # which object a pixel is of, not which class
IMAGES = re.compile(r"^(images?|imgs?|photos?|jpegimages|leftimg8bit\w*|rgb\w*)$", re.I)
ENDINGS = re.compile(
    r"([._-](masks?|labels?|seg|segmentation|gt|gtfine|gtcoarse|labelids|labeltrainids|leftimg8bit|rgb|anon)|_L)+$",
    re.I,
)
OTHER_MASKS = re.compile(r"(instanceids|instancetrainids|_color|_colour|_vis)$", re.I)


@dataclass
class Pairs:
    """What was paired: (image, mask, split) each; and what was left alone."""

    pairs: list[tuple[AnyPath, AnyPath, str | None]] = field(default_factory=list)
    without_mask: list[AnyPath] = field(default_factory=list)
    without_image: list[AnyPath] = field(default_factory=list)
    unclear: list[AnyPath] = field(default_factory=list)  # masks that could be of several images, or one of several


@dataclass(frozen=True)
class _Sorted:
    path: AnyPath
    below: PurePosixPath
    mask: bool
    split: str | None
    key: tuple[str, ...]  # folders that say something, and the stem


def pair(files: Iterable[tuple[AnyPath, str]], options: Mapping[str, str]) -> Pairs:
    """Pairs of `files` (path, path below the root). `images` and `masks` of the options name their folders.

    Raises DataError where they name one that holds no image file.
    """
    sides = _sides(files, options)
    images = [file for file in sides if not file.mask]
    masks = [file for file in sides if file.mask]
    for option, side in (("images", images), ("masks", masks)):
        if option in options and not side:
            raise DataError(f"?{option}={options[option]}: no image file is below such a folder.")
    return _matched(images, masks)


def has_pairs(files: Iterable[tuple[AnyPath, str]]) -> bool:
    """Whether a folder holds images and masks of them: a folder of each, and most masks with their image."""
    files = list(files)
    folders = {below.rpartition("/")[0] for _, below in files}  # few, where files are many
    if not any(MASKS.search(part) for folder in folders for part in folder.split("/")):
        return False
    sides = _sides(files, {})
    masks = [file for file in sides if file.mask]
    if not masks or not all(any(map(MASKS.search, file.below.parts[:-1])) for file in masks):
        return False
    matched = _matched([file for file in sides if not file.mask], masks)
    return len(matched.pairs) > len(masks) // 2


def _sides(files: Iterable[tuple[AnyPath, str]], options: Mapping[str, str]) -> list[_Sorted]:
    chosen = [(path, PurePosixPath(below)) for path, below in files if PurePosixPath(below).suffix.lower() in SUFFIXES]
    named = {side: PurePosixPath(options[side]) for side in ("images", "masks") if side in options}
    by_folder = any(any(map(MASKS.search, below.parts[:-1])) for _, below in chosen)
    out = []
    for path, below in chosen:
        inside = {side: below.is_relative_to(folder) for side, folder in named.items()}
        if any(map(NOT_CLASSES.search, below.parts[:-1])) or OTHER_MASKS.search(below.stem):
            continue
        if "masks" in named:
            mask = inside["masks"]
        elif by_folder:
            mask = any(map(MASKS.search, below.parts[:-1]))
        else:
            mask = bool(ENDINGS.search(below.stem))
        if not mask and not inside.get("images", True):
            continue
        out.append(_Sorted(path, below, mask, _split(below), _key(below, named)))
    return out


def _split(below: PurePosixPath) -> str | None:
    """train, val or test, as a folder says, alone or with a word (trainannot, train_masks)."""
    for part in below.parts[:-1]:
        words = [word for word in re.split(r"[._-]|annot", part.lower()) if word]
        split = next((SPLITS[word] for word in words if word in SPLITS), None)
        if split and (part.lower() in SPLITS or MASKS.search(part) or IMAGES.match(words[-1])):
            return split
    return None


def _key(below: PurePosixPath, named: Mapping[str, PurePosixPath]) -> tuple[str, ...]:
    for folder in named.values():
        if below.is_relative_to(folder):
            below = below.relative_to(folder)
    folders = [
        part
        for part in below.parts[:-1]
        if not (MASKS.search(part) or IMAGES.match(part) or _split(PurePosixPath(part, "a")))
    ]
    stem = ENDINGS.sub("", below.stem) or below.stem
    return tuple(normalize("NFC", part) for part in (*folders, stem))


def _matched(images: list[_Sorted], masks: list[_Sorted]) -> Pairs:
    """Each mask with the one image of its split and key; else with the one of its split and stem."""
    out = Pairs()
    taken: dict[AnyPath, _Sorted] = {}
    whole, short = (_by(images, lambda image: image.key), _by(images, lambda image: image.key[-1:]))
    claims: dict[AnyPath, list[_Sorted]] = defaultdict(list)
    for mask in masks:
        candidates = whole.get((mask.split, mask.key)) or short.get((mask.split, mask.key[-1:])) or []
        if len(candidates) > 1:
            candidates = [image for image in candidates if image.below.stem == mask.below.stem] or candidates
        if len(candidates) == 1:
            claims[candidates[0].path].append(mask)
            taken[candidates[0].path] = candidates[0]
        else:
            (out.unclear if candidates else out.without_image).append(mask.path)
    for path, claiming in claims.items():
        best = _preferred(claiming)
        if best is None:
            out.unclear += [mask.path for mask in claiming]
            continue
        out.pairs.append((path, best.path, taken[path].split))
    paired = {path for path, _, _ in out.pairs}
    out.without_mask = [image.path for image in images if image.path not in paired]
    out.pairs.sort(key=lambda pair: str(pair[0]))
    return out


def _preferred(claiming: list[_Sorted]) -> _Sorted | None:
    """The one mask of several of one image: that of label ids before that of train ids; None where nothing tells."""
    if len(claiming) == 1:
        return claiming[0]
    ids = [mask for mask in claiming if mask.below.stem.lower().endswith("labelids")]
    return ids[0] if len(ids) == 1 else None


def _by(images: list[_Sorted], key: "object") -> dict[tuple[str | None, tuple[str, ...]], list[_Sorted]]:
    out: dict[tuple[str | None, tuple[str, ...]], list[_Sorted]] = defaultdict(list)
    for image in images:
        out[image.split, key(image)].append(image)  # type: ignore[operator]
    return out
