"""Checkpoints, finished runs and data versions on object storage, beside those of this home: pushed and pulled by hash.

    blobs/SHA-256         tensors, files and images; what is there already does not travel again
    checkpoints/ID.json   manifests, as in a home
    runs/ID.json          {files: {path: {blob, size}}, checkpoint} of a finished run
    versions/NAME.jsonl   data versions, as in a home; they come with the runs that learned from them

A blob goes before the manifest that names it, so whatever can be seen is whole, wherever a push was cut off. What is
being worked on stays on this disk. Nothing of visitors of a hosted page is pushed.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from studio.core.errors import StoreError, UsageError
from studio.core.events import FINAL
from studio.store.bucket import Bucket
from studio.store.checkpoint import Digest, FileEntry, Manifest
from studio.store.files import clear_errors, from_json, sync_folder, temp_name, to_json, write_atomic
from studio.store.runs import RunFolder
from studio.store.store import Store
from studio.store.upkeep import Problem
from studio.store.versions import NAME as VERSION_NAME
from studio.store.versions import blobs_of, facts_of, parsed, versions

VARIABLE = "STUDIO_STORE"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}")
VERSION = re.compile(r"version:(\w[\w.-]{0,63})\?content=([0-9a-f]+)")  # as a filed recipe names one
SUFFIXES = {"checkpoints": ".json", "runs": ".json", "versions": ".jsonl"}
LEFT = ("state", "alive.lock", "stop", "pixels", "visitor")  # of a run: what only this machine can use


class RunManifest(BaseModel):
    """A finished run: its files by path, and the checkpoint that it left."""

    model_config = ConfigDict(extra="forbid")
    files: dict[str, FileEntry]
    checkpoint: str | None = None

    def blobs(self) -> dict[Digest, int]:
        return {entry.blob: entry.size for entry in self.files.values()}


@dataclass
class Moved:
    """What a push or pull moved: what is there now that was not, and the blobs and bytes that travelled."""

    checkpoints: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    blobs: int = 0
    bytes: int = 0


def bucket_of_environment() -> Bucket | None:
    """What STUDIO_STORE names; None where it is not set. Raises StoreError where it can't be used."""
    address = os.environ.get(VARIABLE, "").strip()
    if not address:
        return None
    if "://" not in address:
        raise StoreError(f"{VARIABLE} is {address!r}; expected an address such as s3://bucket/studio.")
    return Bucket(address)


def required_bucket() -> Bucket:
    """As `bucket_of_environment`. Raises UsageError where STUDIO_STORE is not set."""
    bucket = bucket_of_environment()
    if bucket is None:
        raise UsageError(f"{VARIABLE} is not set; it names where to, such as {VARIABLE}=s3://bucket/studio.")
    return bucket


def push(store: Store, bucket: Bucket, names: Iterable[str] = ()) -> Moved:
    """Sends checkpoints, finished runs and data versions (by name; all where none is given), each blob once.

    Raises StoreError where a request still fails after several tries; what was sent counts for the next push.
    """
    chosen = _chosen(store, list(names))
    sender = _Sender(store, bucket)
    for checkpoint_id in chosen.checkpoints:
        sender.checkpoint(checkpoint_id)
    for version in chosen.versions:
        sender.version(version)
    for run in chosen.runs:
        sender.run(run)
    return sender.moved


def pull(store: Store, bucket: Bucket, name: str) -> Moved:
    """Brings a checkpoint, a data version, or a run with the checkpoint that it left and the versions it learned from.

    Raises UsageError where none is called so.
    """
    moved = Moved()
    if not NAME.fullmatch(name) and not VERSION_NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no id of a checkpoint or a run, and no name of a version.")
    bring = {"checkpoints": _pull_checkpoint, "runs": _pull_run, "versions": _pull_version}
    for kind, suffix in SUFFIXES.items():
        manifest = bucket.read(f"{kind}/{name}{suffix}")
        if manifest is not None:
            bring[kind](store, bucket, name, manifest, moved)
            return moved
    known = sorted(name for names in listed(bucket).values() for name in names)
    shown = ", ".join(known[:6]) or "nothing"
    raise UsageError(f"{bucket.address} has no checkpoint, run or version {name!r}; it has {shown}.")


def listed(bucket: Bucket) -> dict[str, list[str]]:
    """The names of what is there: {checkpoints, runs, versions}."""
    return {
        kind: sorted(name.removesuffix(suffix) for name in bucket.sizes(kind) if name.endswith(suffix))
        for kind, suffix in SUFFIXES.items()
    }


def verify(bucket: Bucket) -> list[Problem]:
    """What is there, but not whole: manifests that can't be read, blobs that are missing or of another size."""
    sizes, problems = bucket.sizes("blobs"), list[Problem]()
    for kind, ids in listed(bucket).items():
        for name in ids:
            try:
                expected = _named(kind, name, bucket.read(f"{kind}/{name}{SUFFIXES[kind]}") or b"")
            except StoreError as error:
                problems.append(Problem(f"{bucket.address}/{kind}/{name}", str(error)))
                continue
            for digest, size in sorted(expected.items()):
                if digest not in sizes or size not in (None, sizes[digest]):
                    state = "is cut short" if digest in sizes else "is missing"
                    problems.append(Problem(f"{bucket.address}/{kind}/{name}", f"blob {digest} {state}; push it again"))
    return problems


class _Sender:
    """One push: what is there is listed once."""

    def __init__(self, store: Store, bucket: Bucket) -> None:
        self.store, self.bucket, self.moved = store, bucket, Moved()
        self._there = bucket.sizes("blobs")
        self._manifests = {kind: bucket.sizes(kind) for kind in SUFFIXES}

    def checkpoint(self, checkpoint_id: str) -> None:
        path = self.store.home.checkpoints / f"{checkpoint_id}.json"
        content = path.read_bytes()
        name = f"checkpoints/{path.name}"
        if path.name in self._manifests["checkpoints"]:
            if self.bucket.read(name) == content:
                return
            raise StoreError(
                f"{self.bucket.address} has another checkpoint {checkpoint_id}; nothing was changed there."
            )
        manifest = _manifest(content)
        if (base := _base(manifest)) and (self.store.home.checkpoints / f"{base}.json").is_file():
            self.checkpoint(base)
        for digest in sorted(manifest.blobs()):
            self._blob(self.store.blobs.path(digest), digest)
        self.bucket.write(name, content)
        self.moved.checkpoints.append(checkpoint_id)

    def version(self, name: str) -> None:
        """Its images, and then its file."""
        path = self.store.home.versions / f"{name}.jsonl"
        content = path.read_bytes()
        if path.name in self._manifests["versions"]:
            there = parsed(name, self.bucket.read(f"versions/{path.name}") or b"")[0]
            if there.content == facts_of(self.store.home, name).content:
                return
            raise StoreError(f"{self.bucket.address} has another version {name}; nothing was changed there.")
        for digest in sorted(_named("versions", name, content)):
            self._blob(self.store.blobs.path(digest), digest)
        self.bucket.write(f"versions/{path.name}", content)
        self._manifests["versions"][path.name] = len(content)
        self.moved.versions.append(name)

    def run(self, run: RunFolder) -> None:
        for version in _learned_from(run, self.store):
            self.version(version)
        entries = {}
        for path in _files_of(run):
            digest = _hash(path)
            self._blob(path, digest)
            entries[path.relative_to(run.path).as_posix()] = FileEntry(blob=digest, size=path.stat().st_size)
        content = to_json(RunManifest(files=entries, checkpoint=run.checkpoint()).model_dump())
        name = f"runs/{run.id}.json"
        if self._manifests["runs"].get(f"{run.id}.json") == len(content) and self.bucket.read(name) == content:
            return
        self.bucket.write(name, content)
        self.moved.runs.append(run.id)

    def _blob(self, path: Path, digest: str) -> None:
        try:
            size = path.stat().st_size
        except OSError as error:
            raise StoreError(f"{path} can't be read ({error.strerror}); `launch.py verify` says more.") from error
        if self._there.get(digest) == size:
            return
        if _hash(path) != digest:
            raise StoreError(f"{path} is damaged: its content does not match its name. It was not pushed.")
        self.bucket.send(path, f"blobs/{digest}")
        self._there[digest] = size
        self.moved.blobs += 1
        self.moved.bytes += size


@dataclass(frozen=True)
class _Chosen:
    """Ids of checkpoints, names of versions, and runs."""

    checkpoints: list[str]
    versions: list[str]
    runs: list[RunFolder]


def _chosen(store: Store, names: list[str]) -> _Chosen:
    """What is to be sent. Raises UsageError for a name that is none of it, or for a run that is not finished."""
    own, kept = store.runs(), [facts.version for facts in versions(store.home)]
    if not names:
        finished = [store.run(row["run"]) for row in own if row["status"] in FINAL and not row.get("visitor")]
        return _Chosen([row["checkpoint"] for row in store.checkpoints() if not row.get("visitor")], kept, finished)
    chosen = _Chosen([], [], [])
    for name in names:
        run = store.run(name) if any(row["run"] == name for row in own) else None
        if run is None and name in kept:
            chosen.versions.append(name)
            continue
        if run is None:
            chosen.checkpoints.append(store.checkpoint(name).id)
            continue
        if run.status() not in FINAL:
            raise UsageError(f"Run {run.id} is {run.status()}; it is pushed once it has ended.")
        chosen.runs.append(run)
        if run.checkpoint():
            chosen.checkpoints.append(store.checkpoint(str(run.checkpoint())).id)
    return chosen


def _learned_from(run: RunFolder, store: Store) -> list[str]:
    """The data versions of this home that a run's recipe names, with their content."""
    named = dict(VERSION.findall(run.recipe_path.read_text(encoding="utf-8")))
    kept = {facts.version: facts.content for facts in versions(store.home)}
    return [name for name, content in named.items() if kept.get(name, "").startswith(content) and name in kept]


def _files_of(run: RunFolder) -> list[Path]:
    paths = (path for path in sorted(run.path.rglob("*")) if path.is_file() and not path.is_symlink())
    return [path for path in paths if path.relative_to(run.path).parts[0] not in LEFT]


def _pull_checkpoint(store: Store, bucket: Bucket, name: str, content: bytes, moved: Moved) -> None:
    manifest, path = _manifest(content), store.home.checkpoints / f"{name}.json"
    if manifest.id != name:
        raise StoreError(f"{bucket.address}: the manifest {name} says it is {manifest.id!r}; it is not taken.")
    if path.exists():
        if from_json(path) != json.loads(content):
            raise StoreError(f"This home has another checkpoint {name}; nothing was changed.")
        return
    if (base := _base(manifest)) and (below := bucket.read(f"checkpoints/{base}.json")) is not None:
        _pull_checkpoint(store, bucket, base, below, moved)
    with store.changing():
        for digest in sorted(manifest.blobs()):
            _fetch(bucket, digest, store.blobs.path(digest), moved)
        write_atomic(path, content)
    moved.checkpoints.append(name)


def _pull_version(store: Store, bucket: Bucket, name: str, content: bytes, moved: Moved) -> None:
    facts, entries = parsed(name, content)
    path = store.home.versions / f"{name}.jsonl"
    if path.exists():
        if facts_of(store.home, name).content != facts.content:
            raise StoreError(f"This home has another version {name}; nothing was changed.")
        return
    with store.changing(), clear_errors(store.home.root):
        store.home.versions.mkdir(parents=True, exist_ok=True)
        for digest in sorted(blobs_of(entries)):
            _fetch(bucket, digest, store.blobs.path(digest), moved)
        write_atomic(path, content)
    moved.versions.append(name)


def _pull_run(store: Store, bucket: Bucket, name: str, content: bytes, moved: Moved) -> None:
    manifest, target = _run_manifest(content), store.home.runs / name
    if manifest.checkpoint:
        left = bucket.read(f"checkpoints/{manifest.checkpoint}.json")
        if left is not None:
            _pull_checkpoint(store, bucket, manifest.checkpoint, left, moved)
    if target.exists():
        return
    temp = temp_name(target)
    with clear_errors(store.home.runs):
        try:
            for path, entry in manifest.files.items():
                place = temp / _inside(path)
                place.parent.mkdir(parents=True, exist_ok=True)
                _fetch(bucket, entry.blob, place, moved)
            temp.rename(target)
            sync_folder(store.home.runs)
        finally:
            shutil.rmtree(temp, ignore_errors=True)
    moved.runs.append(name)
    for version in dict(VERSION.findall(store.run(name).recipe_path.read_text(encoding="utf-8"))):
        own = (
            store.home.versions / f"{version}.jsonl"
        )  # another of its name stays: the recipe says which content it means
        if not own.exists() and (file := bucket.read(f"versions/{version}.jsonl")) is not None:
            _pull_version(store, bucket, version, file, moved)


def _fetch(bucket: Bucket, digest: str, path: Path, moved: Moved) -> None:
    if path.is_file() and _hash(path) == digest:
        return
    bucket.fetch(f"blobs/{digest}", path, sound=lambda copy: _hash(copy) == digest)
    moved.blobs += 1
    moved.bytes += path.stat().st_size


def _base(manifest: Manifest) -> str | None:
    """The checkpoint that this one looks through, where its backbone is one."""
    spec = str(manifest.backbone.get("spec") or "")
    return spec.removeprefix("store/") if spec.startswith("store/") else None


def _inside(path: str) -> PurePosixPath:
    """A run's file. Raises StoreError for a path that leads out of the run's folder."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or ":" in path or "\\" in path:
        raise StoreError(f"The run names a file {path!r} that is outside of its folder; it is not taken.")
    return PurePosixPath(path)


def _named(kind: str, name: str, content: bytes) -> dict[str, int | None]:
    """The blobs that a manifest names, with their sizes where it says them. Raises StoreError for a damaged one."""
    if kind == "runs":
        return dict(_run_manifest(content).blobs())
    return dict.fromkeys(_manifest(content).blobs() if kind == "checkpoints" else blobs_of(parsed(name, content)[1]))


def _manifest(content: bytes) -> Manifest:
    return _parsed(Manifest, content)


def _run_manifest(content: bytes) -> RunManifest:
    return _parsed(RunManifest, content)


def _parsed(kind: Any, content: bytes) -> Any:
    try:
        return kind.model_validate(json.loads(content))
    except (ValueError, ValidationError) as error:
        raise StoreError("its manifest can't be read; push it again") from error


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
