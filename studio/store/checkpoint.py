"""A checkpoint: what a run leaves for others. One JSON manifest, which names its tensors' blobs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from studio.core.errors import StoreError
from studio.store.blobs import Blobs, unpack
from studio.store.files import from_json

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
ID = r"^[A-Za-z0-9][A-Za-z0-9-]{0,79}$"  # safe as a file name everywhere
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]


class TensorEntry(BaseModel):
    """Where a tensor is (a blob that holds it under its name), its shape and its dtype such as `float32`."""

    model_config = ConfigDict(extra="forbid")
    blob: Digest
    shape: list[int]
    dtype: str


class FileEntry(BaseModel):
    """A small file kept with a checkpoint, and its size in bytes."""

    model_config = ConfigDict(extra="forbid")
    blob: Digest
    size: int


class Manifest(BaseModel):
    """All there is to know of a checkpoint but its numbers. Whoever makes one leaves the last block to the store."""

    model_config = ConfigDict(extra="forbid")
    face: str = Field(description="EpisodeHead, Estimator or Learner")
    task: str
    method: str
    title: str = ""
    classes: list[str] = []
    preprocess: dict[str, Any] = {}
    backbone: dict[str, Any] = Field({}, description="{spec, hash, image_size}")
    params: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    lineage: dict[str, Any] = Field({}, description="{parent: checkpoint id, run: run id, recipe: preset or name}")
    recipe: dict[str, Any] = {}
    extra: dict[str, Any] = {}

    id: str = Field("", pattern=rf"^$|{ID}")
    created: str = Field("", description="ISO 8601, UTC")
    tensors: dict[str, TensorEntry] = {}
    files: dict[FileName, FileEntry] = {}
    format_version: int = FORMAT

    def blobs(self) -> set[str]:
        """The blobs that this checkpoint needs."""
        return {entry.blob for entry in (*self.tensors.values(), *self.files.values())}


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file. Raises StoreError where it is damaged or made by a newer version."""
    values = from_json(path)
    version = values.get("format_version") if isinstance(values, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise StoreError(f"{path} is of format {version}, this version reads up to {FORMAT}. Update Transfer Studio.")
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the whole"
        raise StoreError(f"{path} is no manifest of a checkpoint: {where}: {fault['msg']}.") from None


class Checkpoint:
    """A stored checkpoint; nothing is read but the manifest until it is asked for."""

    def __init__(self, manifest: Manifest, path: Path, blobs: Blobs) -> None:
        self.manifest, self.path, self._blobs = manifest, path, blobs

    @property
    def id(self) -> str:
        return self.manifest.id

    def with_recipe(self, recipe: dict[str, Any]) -> "Checkpoint":
        """The same, as if another recipe had made it; nothing stored is changed."""
        return Checkpoint(self.manifest.model_copy(update={"recipe": recipe}), self.path, self._blobs)

    def with_method(self, method: str, params: dict[str, Any]) -> "Checkpoint":
        """The same, as if another method had made it, by a recipe of defaults; nothing stored is changed."""
        changed = {"method": method, "params": params, "recipe": {}}
        return Checkpoint(self.manifest.model_copy(update=changed), self.path, self._blobs)

    def without(self, prefixes: tuple[str, ...]) -> "Checkpoint":
        """The same without tensors and files whose names begin so, and without the names of classes and what was
        taught; nothing stored is changed."""
        kept = {
            kind: {name: entry for name, entry in getattr(self.manifest, kind).items() if not name.startswith(prefixes)}
            for kind in ("tensors", "files")
        }
        lineage = {key: value for key, value in self.manifest.lineage.items() if key != "taught"}
        manifest = self.manifest.model_copy(update={**kept, "classes": [], "lineage": lineage})
        return Checkpoint(manifest, self.path, self._blobs)

    def tensors(self, prefix: str | None = None) -> "dict[str, Tensor]":
        """Tensors by full name, on the CPU; with `prefix`, only those whose name starts with it.

        Raises StoreError where a blob is missing or damaged.
        """
        wanted = {name: entry.blob for name, entry in self.manifest.tensors.items() if name.startswith(prefix or "")}
        blobs = {digest: unpack(self._blobs.read(digest)) for digest in sorted(set(wanted.values()))}
        try:
            return {name: blobs[digest][name] for name, digest in wanted.items()}
        except KeyError as error:
            raise StoreError(f"{self.path}: tensor {error} is not in the blob that the manifest names.") from None

    def file(self, name: str) -> bytes:
        """A file that was kept with the checkpoint. Raises StoreError where there is none of this name."""
        entry = self.manifest.files.get(name)
        if entry is None:
            raise StoreError(f"{self.id} holds no file {name!r}; it has: {', '.join(self.manifest.files) or 'none'}.")
        return self._blobs.read(entry.blob)

    def __repr__(self) -> str:
        return f"Checkpoint({self.id!r})"
