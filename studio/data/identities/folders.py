"""Individuals by folder, with cameras in folders or names or without; or by a pattern that every name follows."""

import re
from pathlib import PurePosixPath

from studio.core.errors import DataError
from studio.data.files.layout import Entry
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.identities.published import Reading, images_below

SPLITS = {
    "train": "train", "training": "train", "query": "query", "queries": "query", "probe": "query",
    "gallery": "gallery", "test": "gallery",
}  # fmt: skip
EXAMPLE = "Expected a folder each individual, such as cows/berta/1.jpg, or cows/berta/barn/1.jpg with cameras."
PARTS = ("identity", "camera", "split")


def read_folders(root: AnyPath, limits: Limits) -> Reading:
    """A folder each individual; folders in each of these are cameras; train/, query/, gallery/ above are splits."""
    files = [(path, PurePosixPath(below)) for path, below in images_below(root)]
    tops = {below.parts[0].lower() for _, below in files if len(below.parts) > 1}
    divided = bool(tops) and tops <= SPLITS.keys()
    entries, loose = [], []
    for path, below in files:
        split = SPLITS[below.parts[0].lower()] if divided and len(below.parts) > 1 else None
        folders = below.parts[1 if split else 0 : -1]
        if not folders:
            loose.append(str(below))
            continue
        camera = "/".join(folders[1:])
        entries.append(Entry(str(below), folders[0], source_of(path), split, camera=camera))
    if not entries:
        raise DataError(f"{root} holds {len(files)} images, but in no folder of an individual. {EXAMPLE}")
    remarks = (
        [f"{len(loose)} images lie in no individual's folder and are left out, such as {loose[0]}."] if loose else []
    )
    named = sum(bool(entry.camera) for entry in entries)
    if 0 < named < len(entries):
        remarks.append(
            f"{len(entries) - named} of {len(entries)} images lie in no camera's folder: theirs is not known."
        )
    return Reading(entries, remarks)


def read_names(root: AnyPath, names: str, limits: Limits) -> Reading:
    """Every path below `root` follows the pattern `names`, such as {identity}/{camera}_{}.jpg or {identity}_c{camera}.

    Raises DataError for a pattern without {identity}, and where no name follows it.
    """
    pattern = _compiled(names)
    entries, odd = [], []
    for path, below in images_below(root):
        match = pattern.fullmatch(below) or pattern.fullmatch(str(PurePosixPath(below).with_suffix("")))
        if match is None:
            odd.append(below)
            continue
        facts = match.groupdict()
        split = SPLITS.get((facts.get("split") or "").lower())
        entries.append(Entry(below, facts["identity"], source_of(path), split, camera=facts.get("camera")))
    if not entries:
        raise DataError(
            f"{root}: no name of {len(odd)} images follows names={names}; the first is {(odd or ['none'])[0]}."
        )
    remarks = [f"{len(odd)} names do not follow names={names} and are left out, such as {odd[0]}."] if odd else []
    return Reading(entries, remarks)


def _compiled(names: str) -> re.Pattern[str]:
    """The pattern as a regular expression: {part} is anything but a slash, as short as the rest allows."""
    pieces = re.split(r"\{([a-z]*)\}", names)
    used = [part for part in pieces[1::2] if part]
    odd = [part for part in used if part not in PARTS]
    if odd or "identity" not in used or len(set(used)) < len(used) or len(pieces) > 21:
        raise DataError(
            f"names={names}: expected a pattern with {{identity}} once, and {{camera}}, {{split}} or {{}} (anything) "
            "where they stand, such as {identity}/{camera}_{}.jpg."
        )
    text = "".join(
        re.escape(piece) if number % 2 == 0 else f"(?P<{piece}>[^/]+?)" if piece else "[^/]*?"
        for number, piece in enumerate(pieces)
    )
    return re.compile(text)
