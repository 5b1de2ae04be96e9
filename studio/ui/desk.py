"""What the page does, without Gradio: take in photos, make recipes of forms, look at runs.

Visitors choose names and ids. Where the page is hosted for others, data must be built in or have
been uploaded here, and a recipe can name no path of the machine.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studio.core import recipe as recipes
from studio.core.errors import DataError, UsageError
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.data.specs import Spec, parse
from studio.runs.examine import STRANGERS, Examined, Examiner
from studio.runs.export import export_checkpoint
from studio.runs.push import check_push, push
from studio.runs.queue import Queue, enqueue, kick, stop
from studio.runs.runner import submit
from studio.store import Store, uploads
from studio.store.uploads import UploadBounds, discard, keep_photos, keep_zip, safe_name
from studio.ui import named
from studio.ui.views import View, Views


@dataclass(frozen=True)
class Desk:
    """Everything a page needs to know of where it stands."""

    home: Home
    hosted: bool = False
    views: Views = field(default_factory=Views, compare=False, repr=False)
    known_data: dict[str, str] = field(default_factory=dict, compare=False, repr=False)  # by checkpoint
    examiner: Examiner = field(default_factory=Examiner, compare=False, repr=False)

    @property
    def store(self) -> Store:
        return Store(self.home)

    def take_zip(self, path: str | os.PathLike[str]) -> str:
        """Keeps an uploaded zip in the home folder and returns its data spec."""
        return f"zip:{keep_zip(Path(path), self.home, self.upload_bounds)}"

    def take_classes(self, photos: dict[str, list[str]]) -> str:
        """Keeps uploaded photos by class in the home folder and returns their data spec."""
        return f"folder:{keep_photos(photos, self.home, self.upload_bounds)}"

    @property
    def upload_bounds(self) -> UploadBounds:
        return uploads.STRANGERS if self.hosted else UploadBounds()

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
        if getattr(recipe.eval, "episodes_file", None):
            raise UsageError("eval.episodes_file: a hosted page reads no files by path.")
        if recipe.model.backbone.startswith("file:"):
            raise UsageError("model.backbone: a hosted page reads no files by path.")

    def allows(self, spec: str) -> bool:
        """True for data that a hosted page may read: every part built in, or uploaded here."""
        return all(part.scheme == "builtin" or self._is_upload(part) for part in parse(spec))

    def _is_upload(self, part: Spec) -> bool:
        path = Path(part.rest).resolve()
        return part.scheme in ("folder", "zip") and self.home.uploads in path.parents

    def examine(self, spec: str) -> Examined:
        """The report and a few images of a data set, made by a process of its own.

        Raises DataError where it can't be used; what was uploaded for it is deleted then.
        """
        try:
            return self.examiner.examine(spec, self.home, STRANGERS if self.hosted else None)
        except DataError:
            for part in parse(spec):
                discard(Path(part.rest), self.home)
            raise

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

    def view(self, run_id: str) -> View:
        """A run as the page shows it."""
        seen = self.views.look(self.store.run(run_id))
        if seen.status == "queued":
            kick(self.home)
            seen.place = Queue(self.home).place(seen.run)
        return seen

    def checkpoints(self) -> list[tuple[str, str]]:
        """Checkpoints that answer about an image, newest first: (what a person knows one by, its id)."""
        rows = [row for row in self.store.checkpoints() if row.get("classes") and not row.get("problem")]
        return [(named.checkpoint(row, self._data_of(row["checkpoint"])), row["checkpoint"]) for row in rows]

    def _data_of(self, checkpoint: str) -> str:
        """What a checkpoint was trained on; a checkpoint never changes, so it is read once."""
        if checkpoint not in self.known_data:
            self.known_data[checkpoint] = named.data(self.store.checkpoint(checkpoint).manifest.recipe)
        return self.known_data[checkpoint]

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
