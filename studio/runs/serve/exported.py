"""A folder that `export` wrote, ready to answer: an image in, ranked classes out."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio.core.answers import RankedClasses
from studio.core.errors import UsageError
from studio.data.preprocess import Preprocess
from studio.runs.forms.runners import Form, onnx_form, openvino_form

FILES = {"model.onnx": onnx_form, "model.xml": openvino_form}


@dataclass(frozen=True)
class Exported:
    """A network, and what `model.json` says of it."""

    name: str
    form: str
    classes: list[str]
    preprocess: Preprocess
    run: Form  # normalised images float32 [B, 3, H, W] -> logits [B, C]

    def answers(self, logits: np.ndarray) -> list[RankedClasses]:
        """One for each row of logits [B, C]."""
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return [RankedClasses(self.classes, row) for row in powers / powers.sum(axis=1, keepdims=True)]


def open_exported(folder: Path, threads: int | None = None) -> Exported:
    """Raises UsageError where the folder is no export of a classifier to ONNX or OpenVINO."""
    path = next((folder / file for file in FILES if (folder / file).is_file()), None)
    about = folder / "model.json"
    if path is None or not about.is_file():
        raise UsageError(
            f"{folder} is no export that can be served: expected model.onnx or model.xml, and model.json beside it. "
            "Write one with: launch.py export CHECKPOINT --format onnx --out DIR"
        )
    facts = json.loads(about.read_text(encoding="utf-8"))
    if not facts.get("classes") or not facts["output"].startswith("logits [batch, classes]"):
        raise UsageError(f"{folder} puts out {facts['output']!r}; what is served are classifiers.")
    preprocess = Preprocess.from_dict(facts["preprocess"])
    form = facts.get("format", "onnx")
    return Exported(
        facts.get("checkpoint", folder.name), form, facts["classes"], preprocess, FILES[path.name](path, threads)
    )
