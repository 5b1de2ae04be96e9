"""A run on disk: a folder with the frozen recipe, the event stream, the log and the resume state.

Whether a run is being worked on is a lock that its worker holds, which the operating system lets go
when the worker dies. So a run that says `running` while nobody holds its lock is known to be dead.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from studio.core import recipe as recipes
from studio.core.errors import StoreError, UsageError
from studio.core.events import FINAL, EventWriter, read_events
from studio.core.recipe import Recipe
from studio.store.files import clear_errors, sync_folder, temp_name, write_atomic

HOLD_WAIT_S = 5.0  # a watcher that looks whether the run lives has its lock for a moment
LOG_TAIL = 30  # lines
FILED_IN = "filed-in"


class RunFolder:
    """One run. `path` is its folder, `id` the folder's name."""

    def __init__(self, path: Path) -> None:
        self.path, self.id = path, path.name
        self.events_path = path / "events.jsonl"
        self.log_path = path / "log.txt"
        self.recipe_path = path / "recipe.yaml"
        self.state_path = path / "state"
        self._visitor_path = path / "visitor"
        self._lock_path = path / "alive.lock"
        self._stop_path = path / "stop"

    @classmethod
    def make(cls, folder: Path, recipe: Recipe, visitor: str | None = None) -> "RunFolder":
        """A new run below `folder`, for a visitor of a hosted page or (None) this machine's user.

        It appears with its recipe in it, or not at all.
        """
        with clear_errors(folder):
            temp = temp_name(folder / "run")
            temp.mkdir()
            try:
                write_atomic(temp / "recipe.yaml", recipes.to_yaml(recipe).encode())
                write_atomic(temp / FILED_IN, os.fsencode(Path.cwd()))
                if visitor:
                    write_atomic(temp / "visitor", visitor.encode())
                path = folder / _new_id(recipe.method)
                while path.exists():
                    path = folder / _new_id(recipe.method)
                temp.rename(path)  # fails, and is said, in the one case in billions that another process was quicker
            except BaseException:
                shutil.rmtree(temp, ignore_errors=True)
                raise
            sync_folder(folder)
            return cls(path)

    def recipe(self) -> Recipe:
        """The frozen recipe. Its method and params are checked where the run is worked on.

        Raises StoreError where the file is damaged.
        """
        try:
            return recipes.stored(self._recipe_values())
        except UsageError as error:
            raise StoreError(f"The recipe of run {self.id} can't be read: {error}") from error

    def filed_in(self) -> Path | None:
        """The folder in which the run was filed: what relative paths of its recipe are below; None where unknown."""
        try:
            return Path(os.fsdecode((self.path / FILED_IN).read_bytes()))
        except FileNotFoundError:  # a run of an earlier version
            return None

    def visitor(self) -> str | None:
        """The visitor of a hosted page for whom the run was filed; None is this machine's own user."""
        try:
            return self._visitor_path.read_text(encoding="ascii")
        except FileNotFoundError:
            return None

    def events(self) -> list[dict[str, Any]]:
        """All events so far, oldest first."""
        return read_events(self.events_path)[0]

    def status(self) -> str:
        """queued | running | stopping | finished | failed | stopped. A run found dead is marked failed."""
        return self.status_after(self._last("status").get("status", "queued"))

    def status_after(self, status: str) -> str:
        """The status of the run if `status` is the last one written: a worker that is killed writes no other.

        One that is killed before it begins is marked by whoever started it."""
        if status in FINAL or status == "queued" or self.is_alive():
            return status
        with suppress(OSError):  # a disk that can't be written does not make the dead live
            self.mark_dead()
            return self._last("status").get("status", "failed")
        return "failed"

    def metrics(self) -> dict[str, Any]:
        """The metrics of the last time the run finished; empty before."""
        return self._last("metrics").get("metrics", {})

    def checkpoint(self) -> str | None:
        """The id of the checkpoint that the run left last."""
        return self._last("checkpoint").get("checkpoint")

    def log(self, text: str) -> None:
        """Adds to the run's log."""
        with open(self.log_path, "a", encoding="utf-8") as file:
            file.write(text if text.endswith("\n") else text + "\n")

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Held by the worker while it works. Raises UsageError where another one holds it."""
        lock = FileLock(self._lock_path)
        try:
            lock.acquire(timeout=HOLD_WAIT_S)
        except Timeout:
            raise UsageError(f"Run {self.id} is being worked on already.") from None
        try:
            yield
        finally:
            lock.release()

    def is_alive(self) -> bool:
        """Whether a worker holds the run now."""
        if not self._lock_path.exists():
            return False
        try:
            with self._if_idle() as idle:
                return not idle
        except OSError:  # a disk that can't be written: nobody works there
            return False

    def mark_dead(self) -> bool:
        """Writes `failed` and the tail of the log into the events, once, where the worker died on its way.

        Returns whether it did. A run that is alive, or has ended properly, is left as it is.
        """
        with self._if_idle() as idle:
            if not idle or self._last("status").get("status") in FINAL:
                return False
            message = f"The worker ended without a word: killed, out of memory or a power cut. {self._log_tail()}"
            with EventWriter(self.events_path) as events:
                events.emit("error", message=message)
                events.status("failed", reason="died")
            return True

    def stop_unbegun(self) -> bool:
        """Writes `stopped` where nobody works on the run; False where somebody does."""
        with self._if_idle() as idle:
            if idle:
                with EventWriter(self.events_path) as events:
                    events.status("stopped", reason="before it began")
            return idle

    def discard(self) -> None:
        """Removes a run that was refused before anyone could begin it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def request_stop(self) -> None:
        """Asks the worker to save and stop; it looks at every step."""
        write_atomic(self._stop_path, b"")

    def stop_requested(self) -> bool:
        return self._stop_path.exists()

    def clear_stop(self) -> None:
        self._stop_path.unlink(missing_ok=True)

    def summary(self) -> dict[str, Any]:
        """The run as a row of a listing, as its files have it; `status` is the last one written."""
        events = self._events("status", "metrics", "checkpoint")
        last = {event["kind"]: event for event in events}
        status = last.get("status", {})
        recipe = self._recipe_values_or_none()
        return {
            "run": self.id,
            "status": status.get("status", "queued"),
            "method": recipe.get("method"),
            "created": _created(self.id),
            "name": recipe.get("name"),
            "task": recipe.get("task"),
            "seconds": status.get("seconds"),
            "worked_s": sum(event.get("seconds") or 0.0 for event in events if event["kind"] == "status"),
            "metrics": last.get("metrics", {}).get("metrics", {}),
            "checkpoint": last.get("checkpoint", {}).get("checkpoint"),
            "visitor": self.visitor(),
        }

    def _last(self, kind: str) -> dict[str, Any]:
        return next(iter(self._events(kind)[-1:]), {})

    def _events(self, *kinds: str) -> list[dict[str, Any]]:
        """Events of some kinds. Only lines with such a word in them are parsed: the others can be 10^5 scalars."""
        try:
            data = self.events_path.read_bytes()
        except FileNotFoundError:
            return []
        events = [_parse(line) for line in _lines_with(data, [f'"{kind}"'.encode() for kind in kinds])]
        return [event for event in events if event.get("kind") in kinds]

    def _recipe_values(self) -> dict[str, Any]:
        return recipes.read_yaml(self.recipe_path)

    def _recipe_values_or_none(self) -> dict[str, Any]:
        try:
            return self._recipe_values()
        except UsageError:  # `verify` and `recipe` tell of it
            return {}

    @contextmanager
    def _if_idle(self) -> Iterator[bool]:
        """True, and nobody can begin to work on the run meanwhile; or False, since somebody does."""
        lock = FileLock(self._lock_path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _log_tail(self) -> str:
        try:
            lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL:]
        except OSError:
            return "It left no log."
        return "The end of its log:\n" + "\n".join(lines) if lines else "It left no log."

    def __repr__(self) -> str:
        return f"RunFolder({self.id!r})"


def _lines_with(data: bytes, words: list[bytes]) -> list[bytes]:
    """The whole lines that hold one of the words, in their order."""
    places: set[tuple[int, int]] = set()
    for word in words:
        at = data.find(word)
        while at >= 0 and (end := data.find(b"\n", at)) >= 0:
            places.add((data.rfind(b"\n", 0, at) + 1, end))
            at = data.find(word, end)
    return [data[start:end] for start, end in sorted(places)]


def _parse(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _new_id(method: str) -> str:
    short = re.sub(r"[^a-z0-9-]+", "-", method.rsplit("/", 1)[-1].lower())
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{short}-{secrets.token_hex(2)}"


def _created(run_id: str) -> str | None:
    try:
        moment = datetime.strptime(run_id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment.isoformat()
