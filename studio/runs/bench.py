"""How fast a checkpoint is on this machine, in every form that can be made here: behind `launch.py bench`."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from studio.core.errors import StudioError
from studio.core.home import Home
from studio.runs.export import network_of, sample_of, write_onnx
from studio.runs.forms.judge import milliseconds, size_mb
from studio.runs.forms.runners import Form, onnx_form, openvino_form, torch_form
from studio.runs.forms.smaller import write_fp16, write_int8, write_openvino
from studio.runs.predict import load_checkpoint


def bench(
    name: str, home: Home, batch: int = 1, threads: int | None = None, say: Callable[[str], None] = print
) -> list[dict[str, Any]]:
    """A row for each form of a classifier: {form, ms, images_per_s, size_mb, speedup}; `ms` is of a batch.

    int8 is calibrated on a few drawn images here, which changes its answers but not its speed. A form that can't be
    made on this machine is left out and said why. Raises UsageError where the checkpoint is no single network.
    """
    model = load_checkpoint(name, home, device="cpu")
    preprocess, module = network_of(model)
    samples = sample_of(preprocess).contiguous().numpy()
    images = np.resize(samples, (batch, *samples.shape[1:]))
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with tempfile.TemporaryDirectory() as folder:
            forms, sizes = _forms(model, module, samples, Path(folder), threads, say)
            spent = milliseconds(forms, images)
    finally:
        torch.set_num_threads(before)
    return [
        {
            "form": form,
            "ms": ms,
            "images_per_s": 1000 * batch / ms,
            "size_mb": sizes[form],
            "speedup": spent["torch"] / ms,
        }
        for form, ms in spent.items()
    ]


def _forms(
    model: Any, module: torch.nn.Module, samples: np.ndarray, folder: Path, threads: int | None,
    say: Callable[[str], None],
) -> tuple[dict[str, Form], dict[str, float]]:  # fmt: skip
    """Each form, and its size in MB."""
    tensors = [*module.parameters(), *module.buffers()]
    forms = {"torch": torch_form(module)}
    sizes = {"torch": sum(tensor.nbytes for tensor in tensors) / 2**20}
    source = folder / "model.onnx"
    smaller = {
        "onnx": (source, lambda path: write_onnx(model, folder), onnx_form),
        "onnx-fp16": (folder / "fp16.onnx", lambda path: write_fp16(source, path), onnx_form),
        "onnx-int8": (folder / "int8.onnx", lambda path: write_int8(source, path, [samples]), onnx_form),
        "openvino": (folder / "model.xml", lambda path: write_openvino(source, path), openvino_form),
    }
    for form, (path, write, read) in smaller.items():
        try:
            write(path)
            forms[form], sizes[form] = read(path, threads), size_mb(path)
        except StudioError as error:
            say(f"{form} is left out: {error}")
            if form == "onnx":  # of which the others are made
                break
    return forms, sizes
