"""A data set examined for the page, in a process of its own with a bound on memory and time.

The server opens nothing of it: `python -m studio.runs.examine SPEC OUT` writes the report and a few small
images into a folder, which is kept for as long as the data stay as they are.
"""

import argparse
import hashlib
import heapq
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import psutil
from PIL import Image

from studio import __version__
from studio.core.errors import DataError, StudioError
from studio.core.files import read_json, write_json
from studio.core.home import Home
from studio.data import Dataset, check, open_data, read_image
from studio.data.files.images import BadImage
from studio.data.files.limits import limits_of
from studio.data.items import Item
from studio.data.readers.folder import walk
from studio.data.specs import Spec, parse, require_allowed
from studio.runs.processes import spawn

POLL_S = 0.05
SHOWN = 16  # images
SIDE = 640  # pixels of the longer side of an image that is shown
AT_ONCE = 2  # of one server
KEPT = 100  # examined sets
FORM = 2  # of what is kept of them; to be raised when a report says more
MOST_FILES = 200_000  # of a folder whose state is compared; a larger one is examined each time
LASTING = ("builtin", "zip", "folder", "voc")  # whose files all lie below the path that is named


@dataclass(frozen=True)
class Bounds:
    """What one examination may take."""

    memory_gb: float = 6.0
    seconds: float = 1800.0


STRANGERS = Bounds(memory_gb=1.5, seconds=120.0)


@dataclass(frozen=True)
class Examined:
    """The report of `data check`, and a few small images with a caption each."""

    report: dict[str, Any]
    images: list[tuple[Image.Image, str]]


class Examiner:
    """Examines data sets for one server, a few at once."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._places = threading.BoundedSemaphore(at_once)

    def examine(self, spec: str, home: Home, bounds: Bounds | None = None) -> Examined:
        """Raises DataError for data that can't be read or may not be, or take more memory or time than is allowed."""
        require_allowed(spec, home.rights)
        state = _state(spec)
        name = hashlib.sha256(json.dumps([__version__, FORM, spec, state]).encode()).hexdigest()[:24]
        folder = home.root / "examined" / name
        if state is None or not (folder / "report.json").exists():
            with self._places:
                self._make(spec, folder, home, bounds or Bounds())
        with suppress(OSError):
            os.utime(folder)  # the newest are kept
        return _read(folder)

    def _make(self, spec: str, folder: Path, home: Home, bounds: Bounds) -> None:
        folder.parent.mkdir(exist_ok=True)
        temporary = folder.with_name(f".tmp-{secrets.token_hex(6)}")
        temporary.mkdir()
        visitor = ["--visitor", home.visitor] if home.visitor else []
        try:
            with open(temporary / "log.txt", "wb") as log:
                worker = spawn("studio.runs.examine", [spec, str(temporary), *visitor], home, log)
            _watch(worker, bounds)
            failed = read_json(temporary / "error.json", None)
            if failed is not None:
                raise DataError(failed)
            if worker.returncode != 0:
                raise DataError(f"The data could not be examined (the process ended with {worker.returncode}).")
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _forget(folder.parent)


def _watch(worker: subprocess.Popen[bytes], bounds: Bounds) -> None:
    """Waits for the process, and ends it where it takes too much."""
    end, process = time.monotonic() + bounds.seconds, psutil.Process(worker.pid)
    try:
        while worker.poll() is None:
            if time.monotonic() > end:
                _refuse(f"{bounds.seconds:.0f} s")
            with suppress(psutil.Error):  # it has just ended
                if process.memory_info().rss > bounds.memory_gb * 2**30:
                    _refuse(f"{bounds.memory_gb:g} GB of memory")
            time.sleep(POLL_S)
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


def _refuse(amount: str) -> NoReturn:
    raise DataError(
        f"Examining the data takes more than {amount}, which is all that the page gives it. Take fewer images, or see "
        "`python launch.py data check`, which takes what it needs."
    )


def _read(folder: Path) -> Examined:
    values = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return Examined(values["report"], [(_load(folder / name), caption) for name, caption in values["images"]])


def _load(file: Path) -> Image.Image:
    with Image.open(file) as image:
        image.load()
        return image


def _state(spec: str) -> Any:
    """What changes with the data; None where that can't be told cheaply."""
    parts = parse(spec)
    if any(part.scheme not in LASTING or (part.options and part.scheme != "builtin") for part in parts):
        return None
    try:
        states = [_state_of(part) for part in parts]
    except OSError:
        return None
    return None if None in states else states


def _state_of(part: Spec) -> Any:
    path = Path(part.rest).expanduser()
    if part.scheme == "builtin":
        return ""
    if path.is_file():
        return _stamp(path)
    if not path.is_dir():
        return None
    files, _ = walk(path)
    return None if len(files) > MOST_FILES else _digest(f"{name} {_stamp(files[name].path)}" for name in sorted(files))


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"


def _digest(lines: Iterator[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def _forget(folder: Path) -> None:
    """Removes the oldest of what is kept."""
    with suppress(OSError):
        kept = sorted((path for path in folder.iterdir() if path.name[0] != "."), key=lambda path: path.stat().st_mtime)
        for path in kept[:-KEPT]:
            shutil.rmtree(path, ignore_errors=True)


# --- in the process of its own ----------------------------------------------------------------------


def _shown(spec: str, out: Path, home: Home) -> list[tuple[str, str]]:
    """Names of small images spread over the classes, written into `out`, with a caption each."""
    data = open_data(spec, limits_of(home))
    if not isinstance(data, Dataset) or not data.items:
        return []
    shown = []
    for item in _spread(data):
        with suppress(BadImage, OSError):  # the report names it
            image = _small(item, data)
            name = f"{len(shown)}.png"
            image.save(out / name)
            shown.append((name, data.classes[item.label] if data.truth == "labels" else item.name))
    return shown


def _spread(data: Dataset) -> list[Item]:
    """At most SHOWN images: the first of every class, then the second of each, ...; without classes, evenly spaced."""
    if data.truth != "labels":
        places = np.linspace(0, len(data) - 1, min(SHOWN, len(data))).round().astype(int)
        return [data.items[place] for place in places]
    met: Counter[int] = Counter()
    ranks = []
    for place, item in enumerate(data.items):
        ranks.append((met[item.label], item.label, place))
        met[item.label] += 1
    return [data.items[place] for *_, place in heapq.nsmallest(SHOWN, ranks)]


def _small(item: Item, data: Dataset) -> Any:
    from studio.figures.boxes import draw_boxes
    from studio.figures.masks import draw_mask

    image = read_image(item.source, item.name, min_side=160 if data.truth == "labels" else None)
    if item.boxes is not None:
        image = draw_boxes(image, item.boxes, data.classes)
    image.thumbnail((SIDE, SIDE))
    return image if item.mask is None else draw_mask(image, item.mask.read(), data.classes)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="studio.runs.examine")
    parser.add_argument("spec")
    parser.add_argument("out", type=Path)
    parser.add_argument("--visitor", help="of a hosted page, for whom it is examined")
    args = parser.parse_args(argv)
    home = Home.find().seen_by(args.visitor)
    if hasattr(os, "nice"):
        os.nice(5)  # the page goes before it
    try:
        report = check(args.spec, home).to_dict()
        write_json(args.out / "report.json", {"report": report, "images": _shown(args.spec, args.out, home)})
    except StudioError as error:
        write_json(args.out / "error.json", str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
