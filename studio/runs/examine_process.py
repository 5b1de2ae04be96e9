"""`python -m studio.runs.examine_process SPEC OUT`: reads a data set once and writes what the page shows of it.

OUT gets `report.json`, of images also what `studio.runs.image_table` reads; `error.json` where the data can't be used.
With `--map` it gets a map of the images that are there already (`studio.runs.image_map`).
"""

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path

from PIL import Image

from studio.core.errors import StudioError
from studio.core.files import write_json
from studio.core.home import Home
from studio.data import Dataset, open_data
from studio.data.checks.check import check_data
from studio.data.files.images import BadImage
from studio.data.files.limits import limits_of
from studio.figures.thumbnails import SIDE, thumbnail
from studio.runs.image_table import shown_rows, write_table


def examine(spec: str, out: Path, home: Home) -> None:
    """Raises DataError where the data can't be opened."""
    limits = limits_of(home)
    data = open_data(spec, limits)
    thumbnails: dict[int, tuple[bytes, list[int]]] = {}
    shown = set(shown_rows(len(data)))

    def keep(row: int, image: Image.Image) -> None:
        if row in shown:
            with suppress(BadImage, OSError):  # the report names it
                thumbnails[row] = thumbnail(image, data.items[row], data.classes, limits)

    report = check_data(data, spec, keep, SIDE // 2).to_dict()
    if isinstance(data, Dataset):
        write_table(out, data, report, thumbnails)
    write_json(out / "report.json", report)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="studio.runs.examine_process")
    parser.add_argument("spec")
    parser.add_argument("out", type=Path)
    parser.add_argument("--visitor", help="of a hosted page, for whom it is examined")
    parser.add_argument("--map", action="store_true", help="map the images of a table that is in OUT already")
    args = parser.parse_args(argv)
    home = Home.find().seen_by(args.visitor)
    if hasattr(os, "nice"):
        os.nice(5)  # the page goes before it
    try:
        if args.map:
            from studio.runs.image_map import write_map  # it loads torch

            write_map(args.spec, args.out, home)
        else:
            examine(args.spec, args.out, home)
    except StudioError as error:
        write_json(args.out / "error.json", str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
