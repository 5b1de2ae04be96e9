"""The event stream of a run: one JSON object a line in `events.jsonl`.

Whoever wants to watch a run (a progress bar, a chart, a test) reads this file; nobody owns it.
A line that was cut short by a power cut or a kill is dropped by the next writer and skipped by
every reader.
"""

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from studio.core.errors import StoreError

Kind = Literal["status", "progress", "scalar", "figure", "table", "checkpoint", "metrics", "note", "warning", "error"]
KINDS: tuple[str, ...] = Kind.__args__  # type: ignore[attr-defined]

#: the life of a run, in order; the last three are final
STATUSES = ("queued", "running", "stopping", "finished", "failed", "stopped")
FINAL = ("finished", "failed", "stopped")


def _as_json_data(value: Any) -> Any:
    """JSON has no NaN or infinity: they are written as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _as_json_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json_data(item) for item in value]
    return value


class EventWriter:
    """Appends events to one file, a whole line at a time.

    Fields of every event: `t` (seconds since the epoch) and `kind`. By kind:
    status {status, reason?}, progress {what, done, total, planned?, epoch?}, scalar {name, value, step},
    figure {name, path}, table {name, columns, rows}, checkpoint {checkpoint, role},
    metrics {metrics}, note/warning/error {message}.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _drop_cut_line(path)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by close()

    def emit(self, kind: Kind, **fields: Any) -> None:
        if kind not in KINDS:
            raise ValueError(f"unknown event kind {kind!r}; known: {', '.join(KINDS)}")
        line = json.dumps(_as_json_data({"t": round(time.time(), 3), "kind": kind, **fields}), ensure_ascii=False)
        self.append(line.encode(errors="replace") + b"\n")

    def append(self, lines: bytes) -> None:
        """Whole lines as another writer wrote them elsewhere. Raises StoreError where the disk refuses."""
        try:
            self._file.write(lines)  # one write call: lines of two writers never mix
        except OSError as error:
            raise StoreError(
                f"{self.path} can't be written ({error.strerror}). Make room on its disk, then resume the run; "
                "what was saved before is kept."
            ) from error

    def status(self, status: str, **fields: Any) -> None:
        self.emit("status", status=status, **fields)

    def progress(self, what: str, done: int, total: int, **fields: Any) -> None:
        self.emit("progress", what=what, done=done, total=total, **fields)

    def scalar(self, name: str, value: float, step: int) -> None:
        self.emit("scalar", name=name, value=float(value), step=step)

    def note(self, message: str) -> None:
        self.emit("note", message=message)

    def warning(self, message: str) -> None:
        self.emit("warning", message=message)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "EventWriter":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _drop_cut_line(path: Path) -> None:
    if not path.exists() or path.stat().st_size == 0:
        return
    with open(path, "rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) == b"\n":
            return
        size = file.tell()
        while size > 0:
            step = min(4096, size)
            file.seek(size - step)
            cut = file.read(step).rfind(b"\n")
            if cut >= 0:
                file.truncate(size - step + cut + 1)
                return
            size -= step
        file.truncate(0)


def read_events(path: Path, start: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Events from byte `start` on, and the byte where the next read starts.

    A last line that is not whole yet is left for the next call.
    """
    if not path.exists():
        return [], start
    with open(path, "rb") as file:
        file.seek(start)
        data = file.read()
    end = data.rfind(b"\n") + 1
    return [event for event in map(_parse, data[:end].splitlines()) if event is not None], start + end


def follow(path: Path, every_s: float = 0.2) -> Iterator[dict[str, Any]]:
    """Events as they come, until a final status. The caller sees that the writer lives."""
    start = 0
    while True:
        events, start = read_events(path, start)
        for event in events:
            yield event
            if event["kind"] == "status" and event["status"] in FINAL:
                return
        time.sleep(every_s)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and "kind" in event else None
