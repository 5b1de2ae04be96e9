"""Checkpoints that leave and come in: a folder of model.safetensors, manifest.json and a model card.

From outside only safetensors and JSON are ever parsed. A zip is unpacked file by file into a folder
of its own, after its list of members has been looked at; a pickle anywhere in it refuses the whole.
"""

import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from studio.core.errors import StoreError, UsageError
from studio.store.blobs import pack, unpack
from studio.store.card import model_card
from studio.store.checkpoint import Checkpoint, Manifest, read_manifest
from studio.store.files import clear_errors, from_json, temp_name, to_json, write_atomic
from studio.store.pickles import refuse_pickles
from studio.store.tensors import require_safetensors

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, MANIFEST, PREPROCESSOR, CARD, FILES = (
    "model.safetensors", "manifest.json", "preprocessor.json", "README.md", "files",
)  # fmt: skip
IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
CONFIGS = ("config.json", "preprocessor_config.json")
MAX_MEMBERS, MAX_RATIO, MAX_BYTES = 1000, 200, 64 << 30


@dataclass
class Parcel:
    """What was found in a folder from outside."""

    manifest: Manifest
    tensors: "dict[str, Tensor]"
    files: dict[str, bytes] = field(default_factory=dict)


def export(checkpoint: Checkpoint, folder: Path) -> list[Path]:
    """Writes a checkpoint into a new or empty folder, for `import_` and for other tools. Returns the files.

    Raises UsageError where something is in the folder already, StoreError where the disk refuses.
    """
    with clear_errors(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} is not an empty folder; name a new one, so that nothing is overwritten.")
        contents = {
            WEIGHTS: pack(checkpoint.tensors()),
            PREPROCESSOR: to_json(checkpoint.manifest.preprocess),
            **{f"{FILES}/{name}": checkpoint.file(name) for name in checkpoint.manifest.files},
            CARD: model_card(checkpoint.manifest).encode(),
            MANIFEST: to_json(checkpoint.manifest.model_dump()),
        }
        (folder / FILES if checkpoint.manifest.files else folder).mkdir(parents=True, exist_ok=True)
        try:
            for name, data in contents.items():
                write_atomic(folder / name, data)
        except BaseException:
            _clear(folder)
            raise
    return [folder / name for name in contents]


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


@contextmanager
def opened(path: Path, uploads: Path) -> Iterator[Path]:
    """The folder to import: `path` itself, or what a zip holds, unpacked below `uploads` for as long as needed.

    Raises UsageError for anything else, and for a pickle or an unsafe zip.
    """
    if not path.exists():
        raise UsageError(f"There is no file or folder {path}.")
    if path.is_dir():
        with _readable(path):
            refuse_pickles(path)
        yield path
        return
    if not zipfile.is_zipfile(path):
        with _readable(path):
            refuse_pickles(path)
        raise UsageError(f"{path} can't be imported: expected a folder or a .zip with {WEIGHTS} and {MANIFEST} in it.")
    folder = temp_name(uploads / "import")
    try:
        with clear_errors(uploads):
            _unpack(path, folder)
        yield _root(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_parcel(folder: Path) -> Parcel:
    """A checkpoint from a folder that we exported, or from one of model.safetensors and config.json.

    Raises UsageError saying what is missing or wrong.
    """
    if not (folder / WEIGHTS).is_file():
        raise UsageError(
            f"{folder.name} has no {WEIGHTS}. Expected what `export` wrote, or {WEIGHTS} with its config.json."
        )
    tensors = _tensors(folder / WEIGHTS)
    if (folder / MANIFEST).is_file():
        return _ours(folder, tensors)
    if (folder / "config.json").is_file():
        return _foreign(folder, tensors)
    raise UsageError(f"{folder.name} has {WEIGHTS}, but neither {MANIFEST} nor config.json to say what it is.")


def _ours(folder: Path, tensors: "dict[str, Tensor]") -> Parcel:
    try:
        manifest = read_manifest(folder / MANIFEST)
    except StoreError as error:
        raise UsageError(str(error)) from error
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    expected = {name: entry.shape for name, entry in manifest.tensors.items()}
    if shapes != expected:
        odd = sorted(name for name in shapes.keys() | expected.keys() if shapes.get(name) != expected.get(name))
        raise UsageError(f"{WEIGHTS} and {MANIFEST} do not belong together: they differ in {', '.join(odd[:5])}.")
    missing = [name for name in manifest.files if not (folder / FILES / name).is_file()]
    if missing:
        raise UsageError(f"{folder.name} lacks the files {', '.join(missing)} that its {MANIFEST} names.")
    return Parcel(manifest, tensors, {name: _kept(folder / FILES / name) for name in manifest.files})


def _foreign(folder: Path, tensors: "dict[str, Tensor]") -> Parcel:
    """A model in timm's or Hugging Face's layout: kept whole, with its configuration, to serve as a backbone."""
    config = _mapping(folder / "config.json")
    name = config.get("architecture") or config.get("model_type")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9._-]{1,80}", name):
        raise UsageError("config.json names neither an `architecture` (timm) nor a `model_type` (Hugging Face).")
    manifest = Manifest(
        face="Learner",
        task="classify",
        method=f"external/{name}",
        title=f"{name}, imported",
        classes=_classes(config),
        backbone={"spec": None, "hash": None, "image_size": _image_size(config)},
        extra={"layout": "timm" if "architecture" in config else "hf"},
    )
    files = {file: _kept(folder / file) for file in CONFIGS if (folder / file).is_file()}
    return Parcel(manifest, tensors, files)


def _classes(config: dict[str, Any]) -> list[str]:
    names = config.get("label_names") or config.get("id2label")
    if isinstance(names, dict):
        numbered = {int(key): name for key, name in names.items() if str(key).isdigit()}
        names = [numbered[key] for key in sorted(numbered)]
    return [str(name) for name in names] if isinstance(names, list) else []


def _image_size(config: dict[str, Any]) -> int | None:
    timm = config.get("pretrained_cfg")
    found = timm.get("input_size") if isinstance(timm, dict) else config.get("image_size")
    found = found[-1] if isinstance(found, list) and found else found
    return found if isinstance(found, int) else None


def _mapping(path: Path) -> dict[str, Any]:
    try:
        values = from_json(path)
    except StoreError as error:
        raise UsageError(str(error)) from error
    if not isinstance(values, dict):
        raise UsageError(f"{path.name}: expected a JSON object, found {type(values).__name__}.")
    return values


def _tensors(path: Path) -> "dict[str, Tensor]":
    try:
        return unpack(path.read_bytes(), path.name)
    except StoreError as error:
        raise UsageError(str(error)) from None


def _kept(path: Path) -> bytes:
    """A file that comes along: JSON, a JPEG, PNG or WebP, or safetensors, by what it holds and not by its name."""
    data = path.read_bytes()
    if data.startswith(IMAGES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return data
    try:
        if data.lstrip()[:1] in (b"{", b"["):
            json.loads(data)
        else:
            require_safetensors(data, path.name)
    except (StoreError, ValueError, RecursionError):
        raise UsageError(
            f"{path.name} is refused: a checkpoint's files are JSON, images or safetensors, and it is none of these."
        ) from None
    return data


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what zipfile raises for damaged and encrypted archives into a UsageError."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise UsageError(f"{path} can't be unpacked: {error}.") from error


def _unpack(path: Path, folder: Path) -> None:
    with _readable(path), zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        _refuse_unsafe(path, members)
        refuse_pickles(path)
        folder.mkdir()
        for member in members:
            target = folder / member.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, open(target, "xb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)  # reads no more than the size that was declared


def _refuse_unsafe(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Raises UsageError for members that climb out, links, and archives that would fill the disk."""
    if len(members) > MAX_MEMBERS:
        raise UsageError(f"{path} holds {len(members)} files; a checkpoint has a handful, {MAX_MEMBERS} at most.")
    size, packed = sum(member.file_size for member in members), path.stat().st_size
    if size > MAX_BYTES or size > MAX_RATIO * max(packed, 1 << 16):
        raise UsageError(
            f"{path} is refused: it unpacks to {size / 1e9:.1f} GB from {packed / 1e6:.1f} MB, as zip bombs do."
        )
    if len({member.filename.casefold() for member in members}) < len(members):
        raise UsageError(f"{path} is refused: it holds several files of one name.")
    for member in members:
        if not _stays_inside(member):
            raise UsageError(f"{path} is refused: its member {member.filename!r} points outside of its folder.")


def _stays_inside(member: zipfile.ZipInfo) -> bool:
    """Whether a member is a file below the folder on every system: no link, no `..`, no root, no drive letter."""
    parts = PurePosixPath(member.filename.replace("\\", "/")).parts
    is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
    return bool(parts) and not is_link and parts[0] != "/" and ".." not in parts and ":" not in member.filename


def _root(folder: Path) -> Path:
    """Where the files are: a zipped folder has one folder at its top."""
    inside = [path for path in folder.iterdir() if path.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
