"""Looking after the store: `verify` compares what is on disk with what was written, `gc` removes what
nothing refers to: blobs, what died writers left, uploads, exports.

`gc` holds the lock that every put, import and delete holds too. So no blob is between "written" and
"named by a manifest" while it looks, and whatever unreferenced or temporary it finds there is left
over from a writer that died.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.core.errors import StoreError
from studio.core.home import Home
from studio.store.blobs import NAME, Blobs
from studio.store.checkpoint import Manifest, read_manifest
from studio.store.files import TEMP, from_json
from studio.store.runs import RunFolder
from studio.store.tensors import header_of
from studio.store.uploads import leftovers, newest
from studio.store.versions import blobs_of_all

UNLOCKED_TEMP_S = 24 * 3600.0  # new runs and imports being unpacked are not under the lock: age tells


@dataclass(frozen=True)
class Problem:
    """Something on disk that is not as it was written. `where` is a checkpoint, run, tag or data version."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def verify_checkpoint(path: Path, blobs: Blobs, sound: dict[str, bool]) -> list[Problem]:
    """Problems of the checkpoint with this manifest. `sound` remembers blobs that were hashed already."""
    try:
        manifest = read_manifest(path)
    except StoreError as error:
        return [Problem(path.stem, str(error))] if path.exists() else []
    found = [] if manifest.id == path.stem else [f"its manifest says it is {manifest.id!r}"]
    for digest in sorted(manifest.blobs()):
        if digest not in sound:
            sound[digest] = blobs.intact(digest)
        if not sound[digest]:
            what = "is damaged: its content does not match its name" if blobs.path(digest).exists() else "is missing"
            found.append(f"blob {digest} {what}. Import the checkpoint again, or run its recipe again")
    if not found:
        found = _tensor_faults(manifest, blobs)
    return [Problem(path.stem, what) for what in found] if path.exists() else []


def verify_run(run: RunFolder) -> list[Problem]:
    """Problems of a run's folder."""
    try:
        run.recipe()
    except StoreError as error:
        return [Problem(run.id, str(error))]
    return []


def referenced(manifests: list[Path]) -> set[str]:
    """Blobs that some manifest names. Raises StoreError where one can't be read: then nothing is known to be free."""
    names: set[str] = set()
    for path in manifests:
        try:
            values = from_json(path)
            entries = [*values["tensors"].values(), *values["files"].values()]
            names |= {entry["blob"] for entry in entries}
        except (StoreError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"Nothing was removed: the manifest {path} can't be read ({error}), so it is not known which blobs it "
                f"needs. Restore it, or remove that file to give the checkpoint up, then run gc again."
            ) from error
    return names


def garbage(home: Home, manifests: list[Path]) -> list[Path]:
    """What nothing refers to: blobs without a manifest, and what writers that died left behind. Under the lock."""
    needed = referenced(manifests) | blobs_of_all(home)
    blobs = [path for path in home.blobs.iterdir() if NAME.fullmatch(path.name) and path.name not in needed]
    locked = [path for folder in (home.blobs, home.checkpoints, home.root) for path in folder.glob(f"{TEMP}*")]
    unlocked = [path for folder in (home.runs, home.uploads) for path in folder.glob(f"{TEMP}*")]
    unlocked += home.features.glob(f"*/{TEMP}*")
    stale = [path for path in unlocked if time.time() - newest(path) > UNLOCKED_TEMP_S]
    return sorted({*blobs, *locked, *stale, *leftovers(home)})


def remove(paths: list[Path], dry_run: bool) -> dict[str, Any]:
    """{removed: file names, bytes: what they took, kept: names that could not be removed, dry_run}."""
    report: dict[str, Any] = {"removed": [], "bytes": 0, "kept": [], "dry_run": dry_run}
    for path in paths:
        size = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
        try:
            if not dry_run:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError:  # Windows: someone reads it; the next gc gets it
            report["kept"].append(path.name)
            continue
        report["removed"].append(path.name)
        report["bytes"] += size
    return report


def _tensor_faults(manifest: Manifest, blobs: Blobs) -> list[str]:
    """Where manifest and blobs disagree about a tensor. Only the headers are read."""
    headers: dict[str, dict[str, Any]] = {}
    faults = []
    for name, entry in manifest.tensors.items():
        if entry.blob not in headers:
            headers[entry.blob] = _header(blobs.path(entry.blob))
        if headers[entry.blob].get(name, {}).get("shape") != entry.shape:
            faults.append(f"tensor {name} of shape {entry.shape} is not in the blob that the manifest names")
    return faults


def _header(path: Path) -> dict[str, Any]:
    try:
        return header_of(path)
    except (OSError, StoreError):
        return {}
