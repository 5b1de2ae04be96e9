"""What the page does, without Gradio: take in photos, make recipes of forms, look at runs.

Visitors choose names and ids. Where the page is hosted for others, data must be built in or have
been uploaded here, and a recipe can name no path of the machine.
"""

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studio.core import recipe as recipes
from studio.core.errors import DataError, UsageError
from studio.core.events import read_events
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.data.specs import Spec, parse
from studio.runs.export import export_checkpoint
from studio.runs.push import check_push, push
from studio.runs.queue import Queue, enqueue, kick, stop
from studio.runs.runner import submit
from studio.store import RunFolder, Store

MAX_UPLOADS = 5000
POINTS = 400  # points of a curve at most that travel to the browser


@dataclass(frozen=True)
class Desk:
    """Everything a page needs to know of where it stands."""

    home: Home
    hosted: bool = False

    @property
    def store(self) -> Store:
        return Store(self.home)

    def take_zip(self, path: str | os.PathLike[str]) -> str:
        """Keeps an uploaded zip in the home folder and returns its data spec."""
        source = Path(path)
        if source.suffix.lower() != ".zip":
            raise DataError(f"Expected a .zip file, found {source.name}.")
        with open(source, "rb") as file:
            name = hashlib.file_digest(file, "sha256").hexdigest()[:16] + ".zip"
        _copy(source, self.home.uploads / name)
        return f"zip:{self.home.uploads / name}"

    def take_classes(self, photos: dict[str, list[str]]) -> str:
        """Keeps uploaded photos by class in the home folder and returns their data spec."""
        chosen = {name.strip(): files for name, files in photos.items() if name and name.strip() and files}
        if len(chosen) < 2:
            raise DataError("Give photos for at least two classes, each with a name.")
        count = sum(map(len, chosen.values()))
        if count > MAX_UPLOADS:
            raise DataError(f"{count} photos are too many for the boxes (at most {MAX_UPLOADS}); put them into a zip.")
        folder = Path(tempfile.mkdtemp(prefix=time.strftime("photos-%Y%m%d-%H%M%S-"), dir=self.home.uploads))
        for name, files in chosen.items():
            target = folder / safe_name(name)
            target.mkdir(exist_ok=True)
            for number, file in enumerate(files):
                _copy(Path(file), target / f"{number:04d}-{safe_name(Path(file).name)}")
        return f"folder:{folder}"

    def recipe(self, values: dict[str, Any], notes: Sequence[str] = ()) -> Recipe:
        """The typed recipe of a form's values. Raises UsageError, also for what a hosted page forbids."""
        recipe = recipes.parse(values, notes)
        if self.hosted:
            self._guard(recipe)
        return recipe

    def _guard(self, recipe: Recipe) -> None:
        for key, spec in recipe.data.model_dump().items():
            if spec and not self.allows(spec):
                raise UsageError(f"data.{key}: on a hosted page data is built in or uploaded; {spec!r} is neither.")
        if recipe.eval.episodes_file:
            raise UsageError("eval.episodes_file: a hosted page reads no files by path.")
        if recipe.model.backbone.startswith("file:"):
            raise UsageError("model.backbone: a hosted page reads no files by path.")

    def allows(self, spec: str) -> bool:
        """True for data that a hosted page may read: every part built in, or uploaded here."""
        return all(part.scheme == "builtin" or self._is_upload(part) for part in parse(spec))

    def _is_upload(self, part: Spec) -> bool:
        path = Path(part.rest).resolve()
        return part.scheme in ("folder", "zip") and self.home.uploads in path.parents

    def start(self, values: dict[str, Any], owner: str | None = None, notes: Sequence[str] = ()) -> str:
        """Files a run, which says `notes`, in the queue; its id. `owner` is the visitor of a hosted page."""
        run = submit(self.recipe(values, notes), self.store)
        enqueue(run, self.home, owner=owner)
        return run.id

    def resume(self, run_id: str, owner: str | None = None) -> None:
        """Files a stopped or failed run in the queue, to be gone on with."""
        run = self.store.run(run_id)
        if run.is_alive() or run.status() == "finished":
            raise UsageError(f"Run {run.id} is {run.status()}; only a stopped or failed run can be resumed.")
        enqueue(run, self.home, resume=True, owner=owner)

    def stop(self, run_id: str) -> str:
        """Asks a run to save and stop; one that waits is stopped at once. The status it has then."""
        return stop(self.store.run(run_id), self.home)

    def view(self, run_id: str) -> "View":
        """A run as the page shows it."""
        seen = view(self.store.run(run_id))
        if seen.status == "queued":
            kick(self.home)
            seen.place = Queue(self.home).place(seen.run)
        return seen

    def export(self, checkpoint: str, kind: str) -> dict[str, Any]:
        """The files of a checkpoint for other tools, below the home folder: {folder, files, note}."""
        name = self.store.checkpoint(checkpoint).id
        folder = self.home.root / "exports" / name / safe_name(kind)
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier click
        return export_checkpoint(name, kind, folder, self.home)

    def push(self, checkpoint: str, kind: str, repo: str, public: bool = False) -> str:
        """Exports a checkpoint and uploads it to the Hugging Face Hub as `repo`; returns its address.

        The token is the one in HF_TOKEN where the page was started, so a page hosted for others never pushes.
        """
        if self.hosted:
            raise UsageError("A hosted page pushes nothing: the token of HF_TOKEN is its owner's, not the visitor's.")
        check_push(repo.strip())
        return push(Path(self.export(checkpoint, kind)["folder"]), repo.strip(), public)


@dataclass
class View:
    """One run, read from its events."""

    run: str
    status: str = "queued"
    place: int | None = None  # in the queue; 1 is started next
    method: str = ""
    done: int = 0
    total: int = 0
    what: str = ""
    scalars: list[dict[str, Any]] = field(default_factory=list)  # {step, value, name}
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    tables: list[dict[str, Any]] = field(default_factory=list)
    figures: list[tuple[str, str]] = field(default_factory=list)  # (path, name)
    checkpoint: str | None = None
    recipe: str = ""
    end: int = 0  # byte of the event stream up to which this was read

    @property
    def over(self) -> bool:
        return self.status in ("finished", "failed", "stopped")


def view(run: RunFolder) -> View:
    """A run's events as one picture of it; a worker that died is marked failed first."""
    status = run.status()
    events, end = read_events(run.events_path)
    recipe = run.recipe()
    seen = View(run.id, status=status, method=recipe.method, recipe=recipes.to_yaml(recipe), end=end)
    for event in events:
        _take(seen, event, run.path)
    seen.status = status
    seen.scalars = thin(seen.scalars)
    return seen


def _take(seen: View, event: dict[str, Any], folder: Path) -> None:
    kind = event["kind"]
    if kind == "progress":
        seen.what, seen.done, seen.total = event["what"], event["done"], event["total"]
    elif kind == "scalar" and event["value"] is not None:
        seen.scalars.append({"step": event["step"], "value": event["value"], "name": event["name"]})
    elif kind in ("note", "warning"):
        seen.notes.append(event["message"])
    elif kind == "error":
        seen.error = event["message"]
    elif kind == "metrics":
        seen.metrics = event["metrics"]
    elif kind == "table":
        seen.tables.append(event)
    elif kind == "figure":
        path = (folder / event["path"]).resolve()
        if path.is_relative_to(folder.resolve()) and path.is_file():
            seen.figures = [figure for figure in seen.figures if figure[1] != event["name"]] + [
                (str(path), event["name"])
            ]
    elif kind == "checkpoint":
        seen.checkpoint = event["checkpoint"]
    elif kind == "status" and event["status"] == "running":
        seen.error = None  # a resumed run starts clean


def thin(scalars: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most POINTS points a curve, evenly chosen, the last one always among them."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for point in scalars:
        by_name.setdefault(point["name"], []).append(point)
    kept = []
    for points in by_name.values():
        every = -(-len(points) // POINTS)
        kept += points[::-1][::every][::-1]
    return kept


def safe_name(name: str) -> str:
    """A file name that means nothing to any system: no separators, no leading dot, at most 80 characters.

    Windows device names such as `con` get an underscore.
    """
    plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]+', "_", name).strip(" .")[:80] or "unnamed"
    return f"{plain}_" if re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", plain) else plain


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        return
    try:
        part = target.with_name(target.name + ".part")
        shutil.copyfile(source, part)
        os.replace(part, target)
    except OSError as error:
        raise DataError(f"{source.name} can't be kept in {target.parent} ({error.strerror}).") from error
