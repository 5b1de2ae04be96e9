"""Weights from a folder: safetensors, and nothing that could run code."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import StoreError, UsageError
from studio.store.tensors import header_of

if TYPE_CHECKING:
    from torch import Tensor

_SHARD = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".npy", ".npz")


def require_safetensors(folder: Path) -> None:
    """Raises UsageError where a folder holds no safetensors."""
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickled:
        raise UsageError(
            f"model.backbone: {folder} has its weights in {pickled[0]}, which can run code when opened, so it is not. "
            "Save it again with safe_serialization=True (save_pretrained of transformers, or save_for_hf of timm)."
        )
    raise UsageError(f"model.backbone: {folder} holds no weights (expected model.safetensors).")


def weights_file(folder: Path) -> Path:
    """The folder's one safetensors file. Raises UsageError where there is none, or where it isn't clear which."""
    require_safetensors(folder)
    files = sorted(folder.glob("*.safetensors"))
    named = [path for path in files if path.name == "model.safetensors"] or files
    if len(named) > 1:
        several = ", ".join(path.name for path in files)
        raise UsageError(f"model.backbone: {folder} holds several weights ({several}); call one model.safetensors.")
    check_header(named[0])
    return named[0]


def read_tensors(folder: Path) -> "dict[str, Tensor]":
    """The tensors of a folder, on the CPU: of its one file, or of all its shards `model-00001-of-00002.safetensors`.

    Raises UsageError where a shard is missing, or a file holds no safetensors. No index file is followed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    shards = {int(match[1]): path for path in folder.iterdir() if (match := _SHARD.fullmatch(path.name))}
    if (folder / "model.safetensors").exists() or not shards:
        files = [weights_file(folder)]
    else:
        count = max(int(_SHARD.fullmatch(path.name)[2]) for path in shards.values())
        missing = sorted(set(range(1, count + 1)) - shards.keys())
        if missing:
            raise UsageError(f"model.backbone: {folder} lacks part {missing[0]} of the {count} that hold its weights.")
        files = [shards[number] for number in sorted(shards)]
    tensors = {}
    for path in files:
        check_header(path)
        try:
            tensors.update(load_file(path))
        except (SafetensorError, ValueError) as error:
            raise UsageError(f"model.backbone: {path} can't be read ({error}). Copy it again.") from None
    return tensors


def check_header(path: Path) -> None:
    """Raises UsageError for a file that is called safetensors and does not begin as one."""
    try:
        header_of(path)
    except StoreError as error:
        raise UsageError(f"model.backbone: {path.parent}: {error}") from None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises UsageError where there is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"model.backbone: {path.parent} holds no {path.name}.") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"model.backbone: {path} can't be read: {error}.") from error
    if not isinstance(values, dict):
        raise UsageError(f"model.backbone: {path} holds no JSON object.")
    return values
