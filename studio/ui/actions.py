"""What the page does, whatever draws it: take in photos, make recipes of forms, look at runs.

Where the page is hosted for others, the actions's home and store are opened for the visitor who asks: what they may
see and name is decided where it is opened (`studio.core.rights`), never here.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import DataError, StudioError, UsageError
from studio.core.home import Home
from studio.data import save_version
from studio.data.specs import parse
from studio.data.splits import images
from studio.device.manager import DeviceManager
from studio.runs import zero_gpu
from studio.runs.cluster.connect import installed
from studio.runs.comparison import Comparison, compare
from studio.runs.cost import Cost, estimate
from studio.runs.examine import STRANGERS, Examined, Examiner
from studio.runs.export import export_checkpoint
from studio.runs.holdings import Holdings, holdings
from studio.runs.image_map import ImageMap
from studio.runs.lineage import Node, lineage
from studio.runs.predict import Model, load_checkpoint, teach_checkpoint
from studio.runs.push import check_push, push
from studio.runs.queue import Queue, enqueue, kick, stop
from studio.runs.runner import submit
from studio.runs.sweep import background
from studio.store import Store, uploads
from studio.store.uploads import UploadBounds, discard, keep_photos, keep_zip, safe_name
from studio.store.version_changes import Changes, compare_versions
from studio.store.versions import Facts, delete, versions
from studio.ui import display_names
from studio.ui.catalogue import language_asked
from studio.ui.labelling import Desks
from studio.ui.views import View, Views
from studio.ui.visitors import Visitors, secret_of


class Actions:
    """Everything a page needs to know of where it stands, and of who asks."""

    def __init__(self, home: Home, hosted: bool = False) -> None:
        self._home = home
        self.visitors = Visitors(secret_of(home)) if hosted else None
        self.views, self.examiner = Views(), Examiner()
        self.warm = DeviceManager(home).warm
        self.zero_gpu = zero_gpu.of_this_space(home)
        self.desks = Desks(self._warm_backbone)
        self._known_data: dict[str, str] = {}  # by checkpoint

    @property
    def hosted(self) -> bool:
        return self.visitors is not None

    @property
    def home(self) -> Home:
        """The home, opened for whoever's request is being answered."""
        return self._home.seen_by(self.visitors.current()) if self.visitors else self._home

    @property
    def store(self) -> Store:
        return Store(self.home)

    def take_zip(self, path: str | os.PathLike[str]) -> str:
        """Keeps an uploaded zip in the home folder and returns its data spec."""
        return f"zip:{keep_zip(Path(path), self.home, self.upload_bounds)}"

    def take_images(self, path: str | os.PathLike[str]) -> str:
        """Keeps an uploaded zip and returns the data spec of its images, with their classes where it says them."""
        spec = self.take_zip(path)
        try:
            images(spec, self.home)
        except DataError:  # in no class folder, or unusable: then whoever reads it says so
            return spec.replace("zip:", "images:", 1)
        return spec

    def take_classes(self, photos: dict[str, list[str]]) -> str:
        """Keeps uploaded photos by class in the home folder and returns their data spec."""
        return f"folder:{keep_photos(photos, self.home, self.upload_bounds)}"

    @property
    def upload_bounds(self) -> UploadBounds:
        return uploads.STRANGERS if self.hosted else UploadBounds()

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

    def image_map(self, name: str) -> ImageMap | None:
        """A map of the images that were examined under this name. Raises DataError as `examine`."""
        return self.examiner.map(name, self.home, STRANGERS if self.hosted else None)

    def save_version(self, name: str, spec: str, without: Sequence[str] = ()) -> Facts:
        """Keeps the images of a data spec as a version, within the room of whoever asks, without those that have these
        problems: by a report that a process of its own made. Raises as `data save` does."""
        report = self.examine(spec).report if without else None
        return save_version(name, spec, self.home, self.upload_bounds, without=without, report=report)

    def versions(self) -> list[Facts]:
        """The data versions of whoever asks, newest first."""
        return versions(self.home)

    def compare_versions(self, before: str, after: str) -> Changes:
        """What became of a data set. Raises UsageError for a version that is not theirs who ask."""
        return compare_versions(self.home, before, after)

    def delete_version(self, name: str) -> None:
        """Forgets a version. Raises UsageError for one that is not theirs who ask."""
        delete(self.home, name)

    def start(self, values: dict[str, Any], notes: Sequence[str] = (), on: str | None = None) -> str:
        """Files a run, which says `notes`, in the queue, for this machine or `on` a cluster; its id.

        Raises UsageError for a wrong recipe.
        """
        home = self.home
        self._require_own(on)
        run = submit(recipes.parse(values, notes), Store(home), on)
        if self.zero_gpu:
            return run.id  # to be worked on within a request, by `work`
        try:
            enqueue(run, home, owner=home.visitor, on=on)
        except StudioError:  # it would stand in the list and wait for ever
            run.discard()
            raise
        return run.id

    @property
    def places(self) -> list[str]:
        """Clusters that a run may be sent to from here, beside this machine."""
        return ["ray"] if not self.hosted and not self.zero_gpu and installed() else []

    def _require_own(self, on: str | None) -> None:
        if on is not None and self.hosted:
            raise UsageError("A hosted page sends no runs to clusters.")

    def sweep(
        self, values: dict[str, Any], overs: Sequence[str], trials: int, on: str | None = None, grid: bool = False
    ) -> str:  # fmt: skip
        """Starts a sweep in a process of its own, or goes on with one; its name. Raises UsageError as `start` does."""
        if self.hosted:
            raise UsageError("A hosted page makes no sweeps; file one run at a time.")
        return background.start(values, overs, trials, self.home, on, grid)

    def sweeps(self) -> list[background.Seen]:
        """Those of this machine, the newest first; none where the page is hosted."""
        return [] if self.hosted else background.listed(self.home)

    def sweep_results(self, name: str) -> list[str]:
        """Finished runs whose numbers are the table of a sweep of this machine."""
        return [] if self.hosted else background.result_runs(name, self.home)

    def stop_sweep(self, name: str) -> None:
        """Asks a sweep to stop its runs and end. Raises UsageError for one that is not there."""
        if self.hosted:
            raise UsageError("A hosted page makes no sweeps; file one run at a time.")
        background.stop(name, self.home)

    def cost(self, values: dict[str, Any], probe_s: float = 0.0) -> Cost | None:
        """What a run of this recipe will cost; a hosted page tells it from past runs alone. Raises as `start` does."""
        return estimate(recipes.parse(values), self.home, 0.0 if self.hosted else probe_s)

    def resume(self, run_id: str) -> None:
        """Files a stopped or failed run in the queue, to be gone on with."""
        run = self.store.run(run_id)
        if run.is_alive() or run.status() == "finished":
            raise UsageError(f"Run {run.id} is {run.status()}; only a stopped or failed run can be resumed.")
        if self.zero_gpu:
            return
        enqueue(run, self.home, resume=True, owner=self.home.visitor)

    def work(self, run_id: str) -> None:
        """Where GPUs are lent to requests alone: works on a queued, stopped or failed run. Else does nothing."""
        if self.zero_gpu and run_id:
            run = self.store.run(run_id)
            if not run.is_alive() and run.status() != "finished":
                self.zero_gpu.work(run.id, resume=run.status() != "queued")

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

    def holdings(self) -> Holdings:
        """What this machine and its home hold. Raises UsageError on a hosted page."""
        self._refuse_visitors()
        return holdings(self.home)

    def clean_up(self) -> int:
        """Deletes what nothing refers to any more; the bytes that were freed. Raises UsageError on a hosted page."""
        self._refuse_visitors()
        return self.store.gc()["bytes"]

    def _refuse_visitors(self) -> None:
        if self.hosted:
            raise UsageError("A hosted page says nothing of its machine; its owner names checkpoints and cleans up.")

    def compare(self, run_ids: Sequence[str]) -> Comparison:
        """Runs side by side. Raises UsageError for fewer than two, and for one that is not theirs who ask."""
        return compare(run_ids, self.store)

    def lineage(self, run_id: str) -> list[Node]:
        """What led to a run, and what came of it."""
        return lineage(self.store.run(run_id), self.store)

    def checkpoints(self) -> list[tuple[str, str]]:
        """Checkpoints that answer about an image, newest first: (what a person knows one by, its id)."""
        without = {task.name for task in registry.tasks() if not task.needs_classes}
        rows = [
            row for row in self.store.checkpoints()
            if (row.get("classes") or row.get("task") in without) and not row.get("problem")
        ]  # fmt: skip
        language = language_asked()
        return [
            (display_names.checkpoint(row, self._data_of(row["checkpoint"]), language), row["checkpoint"])
            for row in rows
        ]

    def name_checkpoint(self, checkpoint: str, name: str) -> None:
        """Gives a checkpoint this tag alone; none for an empty name. Raises UsageError where hosted, and as `tag`."""
        self._refuse_visitors()
        store, kept = self.store, self.store.checkpoint(checkpoint).id
        if name:
            store.tag(kept, name)
        for tag in [tag for tag, target in store.tags().items() if target == kept and tag != name]:
            store.untag(tag)

    def delete_checkpoint(self, checkpoint: str) -> None:
        """Deletes a checkpoint of whoever asks. Raises UsageError for one that is not theirs, or is looked through."""
        self.store.delete(checkpoint)

    def _data_of(self, checkpoint: str) -> str:
        """What a checkpoint was trained on; a checkpoint never changes, so it is read once."""
        if checkpoint not in self._known_data:
            self._known_data[checkpoint] = display_names.data(self.store.checkpoint(checkpoint).manifest.recipe)
        return self._known_data[checkpoint]

    def model(self, checkpoint: str, look: Mapping[str, Any] | None = None) -> Model:
        """A checkpoint ready to predict, kept warm; whether it may be used is asked each time."""
        home, names = self.home, [checkpoint, *(look or {}).get("ensemble", ())]
        first, *_ = [Store(home).checkpoint(name).id for name in names]
        if (look or {}).get("adapt"):  # what it learns of one's images is not for the next
            return load_checkpoint(first, home, look=look)
        return self.warm.get(f"{first} {look or ''}", lambda: load_checkpoint(first, home, look=look))

    def _warm_backbone(self, name: str, home: Home) -> Any:
        return self.warm.get(f"backbone {name}", lambda: registry.backbone(name, home=home))

    def teach(self, checkpoint: str, images: Mapping[str, Sequence[Any]]) -> Any:
        """A new checkpoint that also knows `images`, by class; the old one is warm already."""
        return teach_checkpoint(checkpoint, images, self.home, self.model(checkpoint).predictor)

    def export(self, checkpoint: str, kind: str) -> dict[str, Any]:
        """The files of a checkpoint for other tools, below the home folder: {folder, files, note}."""
        name = self.store.checkpoint(checkpoint).id
        folder = self.home.exports / name / safe_name(kind)
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
