"""Weights from a folder: safetensors, and nothing that could run code."""

import json
from pathlib import Path
from typing import Any

from studio.core.errors import UsageError

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
    return named[0]


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
