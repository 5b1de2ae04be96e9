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
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.data.specs import Spec, parse
from studio.runs.export import export_checkpoint
from studio.runs.push import check_push, push
from studio.runs.queue import Queue, enqueue, kick, stop
from studio.runs.runner import submit
from studio.store import Store
from studio.ui.views import View, Views

MAX_UPLOADS = 5000


@dataclass(frozen=True)
class Desk:
    """Everything a page needs to know of where it stands."""

    home: Home
    hosted: bool = False
    views: Views = field(default_factory=Views, compare=False, repr=False)

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

    def view(self, run_id: str) -> View:
        """A run as the page shows it."""
        seen = self.views.look(self.store.run(run_id))
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
