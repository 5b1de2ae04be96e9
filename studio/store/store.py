"""The store: one door to the runs and checkpoints of a home folder.

    runs/ID/            recipe.yaml, events.jsonl, log.txt, state/    (studio.store.runs, .state)
    checkpoints/ID.json manifests                                     (studio.store.checkpoint)
    blobs/SHA-256       tensors and files that manifests name         (studio.store.blobs)
    versions/NAME.jsonl data versions, whose images are blobs too      (studio.store.versions)
    tags.json           {tag: checkpoint id}
    index.sqlite        a memo of listing rows; delete it at will     (studio.store.index)

Files are the only truth. Whatever adds or removes checkpoints holds `locks/store.lock`; reading needs
no lock, since files appear and are replaced whole.
"""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from studio.core.errors import StoreError, UsageError, nearest
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.store import exchange, upkeep
from studio.store.blobs import Blobs, as_tensors, pack, part_of
from studio.store.checkpoint import Checkpoint, FileEntry, Manifest, TensorEntry, read_manifest
from studio.store.files import TEMP, clear_errors, from_json, sync_folder, to_json, write_atomic
from studio.store.index import Index, Row, stamp
from studio.store.runs import RunFolder
from studio.store.upkeep import Problem
from studio.store.versions import faults

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

LOCK_WAIT_S = 600.0
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Store:
    """Runs and checkpoints of `home`. Cheap to make; any number of them, in any number of processes.

    Where the home is opened for a visitor, those of others are not there: not by name, not in a listing.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.blobs = Blobs(home.blobs)
        self._index = Index(home.index)
        self._tags_path = home.root / "tags.json"

    # --- runs -----------------------------------------------------------------------------------

    def new_run(self, recipe: Recipe) -> RunFolder:
        """A new run with this recipe frozen in it. Nothing is started."""
        return RunFolder.make(self.home.runs, recipe, self.home.visitor)

    def run(self, name: str) -> RunFolder:
        """The run of this id or beginning of one; `last` is the newest. Raises UsageError for an unknown name."""
        if name == "last":
            newest = self._run_ids()[:1]
            if not newest:
                raise UsageError("There are no runs yet.")
            return RunFolder(self.home.runs / newest[0])
        return RunFolder(self.home.runs / _pick(name, self._run_ids(), "run"))

    def runs(self) -> list[Row]:
        """Runs, newest first: run, status, method, created, name, task, seconds, metrics, checkpoint."""
        folders = {run_id: RunFolder(self.home.runs / run_id) for run_id in self._all_run_ids()}
        stamps = {run_id: stamp(run.events_path) for run_id, run in folders.items()}
        rows = self._index.rows("run", stamps, lambda run_id: folders[run_id].summary())
        return [
            {**rows[run_id], "status": run.status_after(rows[run_id]["status"])}
            for run_id, run in folders.items()
            if self.home.rights.owns(rows[run_id].get("visitor"))
        ]

    def _run_ids(self) -> list[str]:
        """Those that whoever asks may see, newest first."""
        rights, ids = self.home.rights, self._all_run_ids()
        return ids if rights.local else [key for key in ids if rights.owns(RunFolder(self.home.runs / key).visitor())]

    def _all_run_ids(self) -> list[str]:
        """Newest first: by the second in the name, then by when the recipe was written."""
        paths = [path for path in self.home.runs.iterdir() if path.is_dir() and not path.name.startswith(TEMP)]
        return [path.name for path in sorted(paths, key=_age_key, reverse=True)]

    # --- checkpoints ----------------------------------------------------------------------------

    def put(
        self,
        manifest: Manifest,
        tensors: "Mapping[str, Tensor | np.ndarray]",
        files: Mapping[str, bytes] | None = None,
    ) -> Checkpoint:
        """Keeps a checkpoint. It is there as a whole when this returns, or not at all.

        The manifest's id, created, tensors and files are filled in here. Raises TypeError for an array
        that is no tensor, StoreError (nothing lost) where the disk refuses.
        """
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in as_tensors(tensors).items():
            parts.setdefault(part_of(name), {})[name] = tensor
        packed = [(part, pack(part)) for part in parts.values()]
        with self.changing():
            entries = {}
            for part, data in packed:
                digest = self.blobs.put(data)
                entries.update({name: _entry(digest, tensor) for name, tensor in part.items()})
            kept = {name: FileEntry(blob=self.blobs.put(data), size=len(data)) for name, data in (files or {}).items()}
            return self._file(manifest, entries, kept)

    def _file(self, manifest: Manifest, tensors: dict[str, TensorEntry], files: dict[str, FileEntry]) -> Checkpoint:
        """Writes the manifest, after everything that it names: from then on the checkpoint exists."""
        known = self._readable(manifest.id)
        if known and (known.manifest.tensors, known.manifest.files) == (tensors, files):
            return known  # imported a second time
        values = {
            **manifest.model_dump(),
            "id": manifest.id if manifest.id and not known else self._new_id(manifest.method),
            "created": manifest.created or datetime.now(UTC).isoformat(timespec="microseconds"),
            "lineage": self._settled_lineage(manifest.lineage),
            "backbone": self._settled_backbone(manifest.backbone),
            "tensors": {name: entry.model_dump() for name, entry in tensors.items()},
            "files": {name: entry.model_dump() for name, entry in files.items()},
        }
        whole = Manifest.model_validate(values)
        path = self._path(whole.id)
        write_atomic(path, to_json(whole.model_dump()))
        return self._open(path)

    def checkpoint(self, name: str) -> Checkpoint:
        """The checkpoint of this id, tag, beginning of an id, or of the run of this name.

        Raises UsageError for an unknown name, StoreError for a damaged manifest.
        """
        return self._open(self._path(self._resolve(name)))

    def checkpoints(self) -> list[Row]:
        """Checkpoints, newest first: checkpoint, method, task, title, created, classes (how many), metrics,
        backbone, run, parent, tags; `problem` says what is wrong with one that can't be read."""
        rows = self._rows()
        tags = self.tags()
        for checkpoint_id, row in rows.items():
            row["tags"] = sorted(tag for tag, target in tags.items() if target == checkpoint_id)
        return sorted(rows.values(), key=lambda row: (row["created"] or "", row["checkpoint"]), reverse=True)

    def _rows(self) -> dict[str, Row]:
        """Rows of the checkpoints that whoever asks may see, by id."""
        stamps = {checkpoint_id: stamp(self._path(checkpoint_id)) for checkpoint_id in self._all_ids()}
        rows = self._index.rows("checkpoint", stamps, self._row)
        return {key: row for key, row in rows.items() if self.home.rights.owns(row.get("visitor"))}

    def delete(self, checkpoint: str) -> None:
        """Removes a checkpoint and its tags; `gc` frees its blobs.

        Raises UsageError where other checkpoints look through it (`store/ID` is their backbone).
        """
        with self.changing():
            checkpoint_id = self._resolve(checkpoint)
            users = [row["checkpoint"] for row in self.checkpoints() if row["backbone"] == f"store/{checkpoint_id}"]
            if users:
                raise UsageError(f"{checkpoint_id} is the backbone of {', '.join(users)}. Delete those first.")
            self._write_tags({tag: target for tag, target in self.tags().items() if target != checkpoint_id})
            self._path(checkpoint_id).unlink()
            sync_folder(self.home.checkpoints)

    def lineage(self, checkpoint: str) -> list[Row]:
        """Rows of the checkpoint and of what it was made from, back to the first.

        One that was deleted meanwhile ends the list: only its id, and a `problem`.
        """
        rows = {row["checkpoint"]: row for row in self.checkpoints()}
        found: list[Row] = []
        key: str | None = self._resolve(checkpoint)
        while key and key not in [row["checkpoint"] for row in found]:
            found.append(rows.get(key, {"checkpoint": key, "problem": "it is not in this store"}))
            key = found[-1].get("parent")
        return found

    # --- tags -----------------------------------------------------------------------------------

    def tag(self, checkpoint: str, name: str) -> None:
        """Lets `name` mean this checkpoint from now on, whatever it meant before."""
        if not TAG.fullmatch(name):
            raise UsageError(f"{name!r} can't be a tag: letters, digits, dot, dash and underscore, 64 at most.")
        if name in self._ids() or name == "last":
            raise UsageError(f"{name!r} can't be a tag: it has a meaning already.")
        with self.changing():
            self._write_tags({**self.tags(), name: self._resolve(checkpoint)})

    def untag(self, name: str) -> None:
        """Forgets a tag. Raises UsageError where there is none of this name."""
        with self.changing():
            tags = self.tags()
            if name not in tags:
                raise UsageError(f"There is no tag {name!r}.{nearest(name, tags)}")
            self._write_tags({tag: target for tag, target in tags.items() if tag != name})

    def tags(self) -> dict[str, str]:
        """{tag: checkpoint id}. Raises StoreError where the file is damaged."""
        tags = from_json(self._tags_path) if self._tags_path.exists() else {}
        if not isinstance(tags, dict):
            raise StoreError(f"{self._tags_path} holds no tags. Restore it, or remove it to go on without.")
        return tags

    def _write_tags(self, tags: dict[str, str]) -> None:
        if tags != self.tags():
            write_atomic(self._tags_path, to_json(tags))

    # --- upkeep ---------------------------------------------------------------------------------

    def verify(self, checkpoint: str | None = None) -> list[Problem]:
        """What is not as it was written, of one checkpoint or of the whole home. Every blob is hashed again."""
        sound: dict[str, bool] = {}
        ids = self._ids() if checkpoint is None else [self._resolve(checkpoint)]
        found = [problem for key in ids for problem in upkeep.verify_checkpoint(self._path(key), self.blobs, sound)]
        if checkpoint is None:
            found += [fault for key in self._run_ids() for fault in upkeep.verify_run(RunFolder(self.home.runs / key))]
            found += self._verify_tags()
            found += [Problem(f"version {name}", what) for name, what in faults(self.home)]
        return found

    def _verify_tags(self) -> list[Problem]:
        try:
            tags, ids = self.tags(), self._ids()
        except StoreError as error:
            return [Problem("tags", str(error))]
        return [Problem(tag, f"it names {key}, which is not there") for tag, key in tags.items() if key not in ids]

    def gc(self, dry_run: bool = False) -> dict[str, Any]:
        """Removes blobs that no manifest and no data version names and what died writers left.

        Returns {removed, bytes, kept, dry_run}. Raises StoreError, nothing removed, where a manifest can't be read.
        """
        with self.changing():
            manifests = [self._path(checkpoint_id) for checkpoint_id in self._all_ids()]
            return upkeep.remove(upkeep.garbage(self.home, manifests), dry_run)

    # --- in and out -----------------------------------------------------------------------------

    def import_(self, path: Path) -> Checkpoint:
        """Brings in a folder or zip that `export` wrote, or a folder of model.safetensors and config.json.

        Raises UsageError, nothing kept, for a pickle, an unsafe zip, or anything that does not fit together.
        """
        with exchange.opened(Path(path), self.home.uploads) as folder:
            parcel = exchange.read_parcel(folder)
        return self.put(parcel.manifest, parcel.tensors, parcel.files)

    def export(
        self, checkpoint: str, out_dir: Path, format: str = "safetensors", without: tuple[str, ...] = ()
    ) -> list[Path]:
        """Writes model.safetensors, manifest.json, preprocessor.json and a model card into a new folder.

        `without` says how the names of tensors and files begin that stay here.
        """
        if format != "safetensors":
            raise UsageError(f"The store exports safetensors; {format!r} is made from that by `launch.py export`.")
        leaving = self.checkpoint(checkpoint)
        return exchange.export(leaving.without(without) if without else leaving, Path(out_dir))

    # --- names and locks ------------------------------------------------------------------------

    def _ids(self) -> list[str]:
        """Of the checkpoints that whoever asks may see."""
        return self._all_ids() if self.home.rights.local else sorted(self._rows())

    def _all_ids(self) -> list[str]:
        paths = self.home.checkpoints.glob("*.json")
        return sorted(path.stem for path in paths if not path.name.startswith(TEMP))

    def _path(self, checkpoint_id: str) -> Path:
        return self.home.checkpoints / f"{checkpoint_id}.json"

    def _open(self, path: Path) -> Checkpoint:
        return Checkpoint(read_manifest(path), path, self.blobs)

    def _resolve(self, name: str) -> str:
        """The id behind an id, a tag, the beginning of an id, or a run's name."""
        ids = self._ids()
        if name in ids:
            return name
        tags = self.tags()
        if tags.get(name) in ids:
            return tags[name]
        if name == "last" or (name and not _beginning(name, ids) and _beginning(name, self._run_ids())):
            return self._left_by(self.run(name), ids)
        return _pick(name, ids, "checkpoint", also=tags if self.home.rights.local else ())

    def _left_by(self, run: RunFolder, ids: list[str]) -> str:
        left = run.checkpoint()
        if left is None:
            raise UsageError(f"Run {run.id} is {run.status()} and left no checkpoint.")
        if left not in ids:
            raise UsageError(f"Run {run.id} left checkpoint {left}, which was deleted.")
        return left

    def _settled(self, name: str | None, prefix: str = "") -> str | None:
        """A checkpoint's name (after `prefix`) by its id: a tag or a beginning may mean another one tomorrow."""
        if not name or not name.startswith(prefix):
            return name
        try:
            return prefix + self._resolve(name.removeprefix(prefix))
        except UsageError:  # made elsewhere, or deleted meanwhile
            return name

    def _settled_lineage(self, lineage: dict[str, Any]) -> dict[str, Any]:
        """The lineage with its parent by id, and for whom it was made: what it says of that itself is not believed."""
        own = {key: value for key, value in lineage.items() if key != "visitor"}
        visitor = {"visitor": self.home.visitor} if self.home.visitor else {}
        return {**own, "parent": self._settled(lineage.get("parent")), **visitor}

    def _settled_backbone(self, backbone: dict[str, Any]) -> dict[str, Any]:
        return {**backbone, "spec": self._settled(backbone["spec"], "store/")} if "spec" in backbone else backbone

    def _readable(self, checkpoint_id: str) -> Checkpoint | None:
        """The checkpoint of this id, None where there is none or its manifest is damaged."""
        try:
            return self._open(self._path(checkpoint_id)) if checkpoint_id in self._all_ids() else None
        except StoreError:
            return None

    def _new_id(self, method: str) -> str:
        short = re.sub(r"[^A-Za-z0-9]+", "-", method.rsplit("/", 1)[-1]).strip("-")[:60] or "model"
        while True:
            checkpoint_id = f"{short}-{secrets.token_hex(3)}"
            if not self._path(checkpoint_id).exists():
                return checkpoint_id

    def _row(self, checkpoint_id: str) -> Row:
        keys = (
            "method",
            "task",
            "title",
            "created",
            "classes",
            "metrics",
            "backbone",
            "run",
            "parent",
            "visitor",
            "problem",
        )
        row: Row = {"checkpoint": checkpoint_id, **dict.fromkeys(keys)}
        try:
            manifest = self._open(self._path(checkpoint_id)).manifest
        except StoreError as error:
            return {**row, "problem": str(error)}
        return {
            **row,
            **manifest.model_dump(include={"method", "task", "title", "created", "metrics"}),
            "classes": len(manifest.classes),
            "backbone": manifest.backbone.get("spec"),
            "run": manifest.lineage.get("run"),
            "parent": manifest.lineage.get("parent"),
            "visitor": manifest.lineage.get("visitor"),
        }

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The lock of everything that adds or removes checkpoints, over processes; the dead hold nothing."""
        lock = FileLock(self.home.locks / "store.lock")
        with clear_errors(self.home.root):
            try:
                lock.acquire(timeout=LOCK_WAIT_S)
            except Timeout:
                raise StoreError(
                    f"Another process has been writing to {self.home.root} for {LOCK_WAIT_S / 60:.0f} minutes. "
                    "Try again when it is done, or end it."
                ) from None
            try:
                yield
            finally:
                lock.release()


def _entry(digest: str, tensor: "Tensor") -> TensorEntry:
    return TensorEntry(blob=digest, shape=list(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."))


def _beginning(name: str, known: Iterable[str]) -> list[str]:
    return [key for key in known if key.startswith(name)]


def _pick(name: str, known: Iterable[str], what: str, also: Iterable[str] = ()) -> str:
    """The one of `known` that is `name` or begins with it. Raises UsageError where that is none or several."""
    known = list(known)
    found = [name] if name in known else _beginning(name, known) if name else []
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{name!r} may be {' or '.join(found[:5])}; write more of it.")
    raise UsageError(f"There is no {what} {name!r}.{nearest(name, [*known, *also])}")


def _age_key(run: Path) -> tuple[str, int, str]:
    try:
        written = (run / "recipe.yaml").stat().st_mtime_ns
    except OSError:
        written = 0
    return run.name[:15], written, run.name
