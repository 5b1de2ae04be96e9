"""Individuals in a table: a CSV with a heading that names an image, an individual, and where they are known a camera
and a split."""

import csv
import io

from studio.core.errors import DataError
from studio.data.files.annotation_files import not_utf8, read_text
from studio.data.files.image_finder import ImageFinder
from studio.data.files.layout import Entry
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.identities.folders import SPLITS
from studio.data.identities.published import Reading
from studio.data.items import Skipped

COLUMNS = {
    "image": ("image", "filename", "file_name", "file", "path", "image_path", "img", "image_id"),
    "identity": ("identity", "individual", "individual_id", "pid", "person", "name", "id", "label", "class"),
    "camera": ("camera", "camera_id", "camid", "cam", "encounter", "viewpoint"),
    "split": ("split", "set", "subset"),
}
EXAMPLE = "image,identity,camera,split"


def read_table(file: AnyPath, images: AnyPath | None, limits: Limits) -> tuple[Reading, list[Skipped]]:
    """The rows of a table, and those whose image is missing; images lie below `images`, or beside the file.

    Raises DataError for a heading without an image or an individual, and where no image is there.
    """
    rows = _rows(file, limits)
    words = [word.strip().lower().replace(" ", "_") for word in rows[0]] if rows else []
    place = {
        name: next((words.index(word) for word in known if word in words), None) for name, known in COLUMNS.items()
    }
    if place["image"] is None or place["identity"] is None:
        raise DataError(
            f"{file.name}: expected a heading with an image and an individual, such as {EXAMPLE}; found "
            f"{', '.join(words[:12]) or 'nothing'}."
        )
    finder = ImageFinder([images or file.parent])
    entries, missing = [], []
    for number, row in enumerate(rows[1:], start=2):
        facts = {name: row[at].strip() if at is not None and at < len(row) else "" for name, at in place.items()}
        found = finder.find(facts["image"])
        if found.path is None or not facts["identity"]:
            missing.append(Skipped(f"{file.name}, line {number}", found.reason or "it names no individual"))
            continue
        split = SPLITS.get(facts["split"].lower())
        entries.append(Entry(facts["image"], facts["identity"], source_of(found.path), split, camera=facts["camera"]))
    if not entries:
        first = f" {missing[0].name}: {missing[0].reason}." if missing else ""
        raise DataError(
            f"{file.name}: none of its {len(missing)} images is there.{first} Name their folder with ?images=."
        )
    undivided = sum(entry.split is None for entry in entries)
    remarks = []
    if 0 < undivided < len(entries):
        remarks.append(f"{undivided} rows name no split that is known (train, query, gallery): they are left out.")
        entries = [entry for entry in entries if entry.split is not None]
    return Reading(entries, remarks), missing


def _rows(file: AnyPath, limits: Limits) -> list[list[str]]:
    try:
        text = read_text(file, limits)
        mark = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
        return [row for row in csv.reader(io.StringIO(text), delimiter=mark) if any(row)]
    except UnicodeDecodeError as error:
        raise DataError(f"{file.name}: {not_utf8(None)}.") from error
    except csv.Error as error:
        raise DataError(f"{file.name} is no readable CSV ({error}).") from error
