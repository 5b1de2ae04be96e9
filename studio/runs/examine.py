"""A data set examined for the page, in a process of its own with a bound on memory and time.

The server opens nothing of it: `studio.runs.examine_process` writes the report and a thumbnail of each image into a
folder, which is kept for as long as the data stay as they are.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psutil

from studio import __version__
from studio.core.errors import DataError
from studio.core.files import read_json
from studio.core.home import Home
from studio.core.rights import MADE_HERE, SAVED_HERE
from studio.data.readers.folder import walk
from studio.data.specs import Spec, parse, require_allowed
from studio.runs.image_map import ImageMap, read_map
from studio.runs.image_table import ImageTable, read_table
from studio.runs.processes import spawn
from studio.store.uploads import bytes_of

POLL_S = 0.05
AT_ONCE = 2  # of one server
KEPT = 100  # examined sets
KEPT_BYTES = 4 * 2**30  # of all of them
FORM = 3  # of what is kept of them; to be raised when a report says more
NAME = re.compile("[0-9a-f]{24}")  # of the folder of one
MOST_FILES = 200_000  # of a folder whose state is compared; a larger one is examined each time
LASTING = ("builtin", "version", "zip", "folder", "voc")  # whose files all lie below the path that is named


@dataclass(frozen=True)
class Bounds:
    """What one examination may take."""

    memory_gb: float = 6.0
    seconds: float = 1800.0


STRANGERS = Bounds(memory_gb=1.5, seconds=120.0)


@dataclass(frozen=True)
class Examined:
    """The report of `data check`, and by which name the images that were seen are found again (`Examiner.table`)."""

    report: dict[str, Any]
    name: str


class Examiner:
    """Examines data sets for one server, a few at once."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._places = threading.BoundedSemaphore(at_once)

    def examine(self, spec: str, home: Home, bounds: Bounds | None = None) -> Examined:
        """Raises DataError for data that can't be read or may not be, or take more memory or time than is allowed."""
        require_allowed(spec, home.rights)
        state = _state(spec, home)
        owner = None if all(part.scheme == MADE_HERE for part in parse(spec)) else home.visitor
        name = hashlib.sha256(json.dumps([__version__, FORM, spec, state, owner]).encode()).hexdigest()[:24]
        folder = _folder(home) / name
        if state is None or not (folder / "report.json").exists():
            with self._places:
                self._make(spec, folder, home, bounds or Bounds())
        with suppress(OSError):
            os.utime(folder)  # the newest are kept
        return Examined(json.loads((folder / "report.json").read_text(encoding="utf-8")), name)

    def map(self, name: str, home: Home, bounds: Bounds | None = None) -> ImageMap | None:
        """A map of the images of a set that was examined, made when it is first asked for; None for feature vectors.

        Raises DataError as `examine` and `table`.
        """
        table = self.table(name, home)
        if table is None:
            return None
        if not (table.folder / "map.json").exists():
            with self._places:
                self._run(["--map", table.spec, str(table.folder)], table.folder, home, bounds or Bounds())
        return read_map(table.folder)

    def table(self, name: str, home: Home) -> ImageTable | None:
        """The images of a set that was examined; None for feature vectors. Raises DataError where they are not kept."""
        folder = _folder(home) / name
        if not NAME.fullmatch(name) or not (folder / "report.json").exists():
            raise DataError("The images that were looked at are no longer kept. Use the data once more.")
        if not (folder / "images.json").exists():
            return None
        table = read_table(folder)
        require_allowed(table.spec, home.rights)
        return table

    def _make(self, spec: str, folder: Path, home: Home, bounds: Bounds) -> None:
        folder.parent.mkdir(exist_ok=True)
        temporary = folder.with_name(f".tmp-{secrets.token_hex(6)}")
        temporary.mkdir()
        try:
            self._run([spec, str(temporary)], temporary, home, bounds)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _forget(folder.parent)

    def _run(self, words: list[str], folder: Path, home: Home, bounds: Bounds) -> None:
        """Runs the process of its own, which writes into `folder`. Raises DataError where it can't."""
        visitor = ["--visitor", home.visitor] if home.visitor else []
        with open(folder / "log.txt", "wb") as log:
            worker = spawn("studio.runs.examine_process", [*words, *visitor], home, log)
        _watch(worker, bounds)
        failed = read_json(folder / "error.json", None)
        if failed is not None:
            (folder / "error.json").unlink()
            raise DataError(failed)
        if worker.returncode != 0:
            raise DataError(f"The data could not be examined (the process ended with {worker.returncode}).")


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


def _folder(home: Home) -> Path:
    return home.root / "examined"


def _state(spec: str, home: Home) -> Any:
    """What changes with the data; None where that can't be told cheaply."""
    parts = parse(spec)
    if any(
        part.scheme not in LASTING or (part.options and part.scheme not in (MADE_HERE, SAVED_HERE)) for part in parts
    ):
        return None
    try:
        states = [_state_of(part, home) for part in parts]
    except OSError:
        return None
    return None if None in states else states


def _state_of(part: Spec, home: Home) -> Any:
    if part.scheme == MADE_HERE:
        return ""
    named = home.versions / f"{part.rest}.jsonl"
    path = named if part.scheme == SAVED_HERE else Path(part.rest).expanduser()
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
    """Removes the oldest of what is kept, beyond KEPT sets and KEPT_BYTES; the newest stays whatever it takes."""
    with suppress(OSError):
        kept = sorted(
            (path for path in folder.iterdir() if path.name[0] != "."), key=lambda path: -path.stat().st_mtime
        )
        total = 0
        for place, path in enumerate(kept):
            total += bytes_of(path)
            if place >= KEPT or (place and total > KEPT_BYTES):
                shutil.rmtree(path, ignore_errors=True)
