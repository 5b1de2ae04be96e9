"""Networks for class maps as ONNX, compared with the checkpoint on real images, and as a Hugging Face folder."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adapters.backbones.padding_by_remainder import padding_by_remainder
from adapters.segment.instances.predictor import ThingPredictor
from adapters.segment.run.predictor import MaskPredictor
from studio.core.errors import StudioError, UsageError
from studio.data.preprocess import Preprocess

COLOUR = re.compile(r"\x1b\[\d+m")  # of a terminal
TOLERANCE = 1e-3  # largest difference that still counts as the same network, relative to the spread of the logits

HF_USE = """\
    from transformers import pipeline

    pipeline("image-segmentation", "FOLDER OR REPOSITORY")("photo.jpg"{options})"""


def write_onnx(model: Any, images: Tensor, folder: Path) -> tuple[str, str]:
    """`model.onnx` of a loaded checkpoint: what to know of it, and what it puts out. Raises StudioError."""
    _require_maps(model)
    module, path = model.predictor.module().eval(), folder / "model.onnx"
    session, any_size = _written(module, images, path, model.predictor.learner.any_size)
    with torch.inference_mode():
        difference = _refuse_if_off(module(images).numpy(), session.run(None, {"images": images.numpy()})[0], path)
    size = "any size in multiples of 32" if any_size else f"{images.shape[-1]} x {images.shape[-1]} pixels"
    note = (
        f"For images of {size}. Largest difference from torch on {len(images)} images: {difference:.1e} of the spread "
        "of the logits."
    )
    return note, "logits [batch, classes, H, W]; the class of a pixel is the largest"


def write_hf(model: Any, images: Tensor, folder: Path) -> tuple[str, str]:
    """A folder for transformers of a loaded checkpoint: what to know of it, and how it is used."""
    learner, preprocess = model.predictor.learner, Preprocess.from_dict(model.checkpoint.manifest.preprocess)
    finds = isinstance(model.predictor, ThingPredictor)
    if finds:
        learner.save_hugging_face(preprocess, folder)
    else:
        learner.save_hugging_face(preprocess, model.classes, folder)
    loaded = learner.read_hugging_face(folder).float().eval()
    with torch.inference_mode():
        expected = (learner.class_maps() if finds else learner.predict)(images).numpy()
        difference = _refuse_if_off(expected, loaded(images).numpy(), folder / "model.safetensors")
    return (
        f"{type(loaded.model).__name__} of transformers gives the same logits on {len(images)} images (largest "
        f"difference {difference:.1e} of their spread)."
    ), HF_USE.format(options=', subtask="instance"' if finds else "")


def _require_maps(model: Any) -> None:
    if not isinstance(model.predictor, MaskPredictor):
        method = model.checkpoint.manifest.method
        raise UsageError(f"format onnx: {method} finds things and has no such form; safetensors fits it.")


def _written(module: nn.Module, images: Tensor, path: Path, any_size: bool) -> tuple[Any, bool]:
    """A session of the file, and whether it takes images of any size: tried first where the network does."""
    said = []
    for free in (True, False) if any_size else (False,):
        try:
            return _export(module, images, path, free), free
        except Exception as error:  # an exporter may raise anything
            path.unlink(missing_ok=True)
            said.append(f"{type(error).__name__}: {' '.join(COLOUR.sub('', str(error)).split())[:120]}")
    raise StudioError(f"This network can't be written as ONNX ({'; '.join(said)}).")


def _export(module: nn.Module, images: Tensor, path: Path, free: bool) -> Any:
    import onnxruntime

    batch = torch.export.Dim("batch", min=1, max=4096)
    sides = {2: 32 * torch.export.Dim("rows", min=1, max=256), 3: 32 * torch.export.Dim("columns", min=1, max=256)}
    shapes = ({0: batch, **(sides if free else {})},)
    with padding_by_remainder():
        torch.onnx.export(
            module, (images[:2],), str(path), input_names=["images"], output_names=["logits"], dynamic_shapes=shapes,
            dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    if free:
        other = torch.cat([images[:1], images[:1]], dim=3)  # twice as wide
        with torch.inference_mode():
            expected, found = module(other).numpy(), session.run(None, {"images": other.numpy()})[0]
        _refuse_if_off(expected, found, path)
    return session


def _refuse_if_off(expected: np.ndarray, found: np.ndarray, path: Path) -> float:
    """The largest difference of the logits, in shares of their spread. Raises StudioError where it is too large."""
    if expected.shape != found.shape:
        path.unlink(missing_ok=True)
        raise StudioError(f"The exported network puts out {found.shape}; expected {expected.shape}. It was not kept.")
    difference = float(np.abs(expected - found).max()) / max(float(np.ptp(expected)), 1e-6)
    if not difference <= TOLERANCE:
        path.unlink(missing_ok=True)
        raise StudioError(
            f"The exported network computes something else: logits differ by {difference:.2e} of their spread (allowed "
            f"{TOLERANCE:g}). It was not kept."
        )
    return difference
