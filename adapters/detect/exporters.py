"""Detectors for other tools: a Hugging Face folder and ONNX, both compared with the checkpoint on real images."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from studio.core.errors import StudioError, UsageError
from studio.data.preprocess import Preprocess

TOLERANCE = 1e-3  # largest difference that still counts as the same model, relative to the spread of the values
PARTS = ("logits", "pred_boxes")


HF_USE = """\
    from transformers import pipeline

    pipeline("object-detection", "FOLDER OR REPOSITORY")("photo.jpg")"""


def write_onnx(model: Any, images: Tensor, folder: Path) -> tuple[str, str]:
    """`model.onnx` of a loaded checkpoint: what to know of it, and what it puts out."""
    note = detector_to_onnx(model.predictor.learner, images, folder / "model.onnx")
    return note, "logits [1, queries, classes], pred_boxes cxcywh [1, queries, 4] in 0..1"


def write_hf(model: Any, images: Tensor, folder: Path) -> tuple[str, str]:
    """A folder for transformers of a loaded checkpoint: what to know of it, and how it is used."""
    preprocess = Preprocess.from_dict(model.checkpoint.manifest.preprocess)
    return detector_to_hf(model.predictor.learner, preprocess, images, folder), HF_USE


class _Raw(nn.Module):
    """pixel_values [B, 3, S, S] -> logits [B, Q, C] and boxes cxcywh [B, Q, 4] in 0..1."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        output = self.module(pixel_values=images)
        return output.logits, output.pred_boxes


def detector_to_hf(learner: Any, preprocess: Preprocess, images: Tensor, folder: Path) -> str:
    """Raises UsageError where the detector has no such form, StudioError where the folder computes something else."""
    from transformers import AutoModelForObjectDetection

    learner.save_hugging_face(preprocess, folder)
    loaded = AutoModelForObjectDetection.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    exported = _each(_Raw(loaded), images)
    difference = _compare(_each(_Raw(learner.module), images), exported, "Hugging Face", folder / "model.safetensors")
    return (
        f"AutoModelForObjectDetection gives the same logits and boxes on {len(images)} images (largest difference "
        f"{difference:.1e} of their spread)."
    )


def detector_to_onnx(learner: Any, images: Tensor, path: Path) -> str:
    """One image at a time: images [1, 3, S, S] -> logits, pred_boxes. Raises as `detector_to_hf`."""
    if not learner.fixed_queries:
        raise UsageError(
            f"{learner.id} checkpoints find boxes, whose number differs from image to image; they export as "
            "safetensors only."
        )
    module = _Raw(learner.export_module()).eval()
    session = _written(module, images[:1], path)
    rows = [session.run(None, {"images": image[None].numpy()}) for image in images]
    exported = tuple(np.concatenate([row[part] for row in rows]) for part in range(len(PARTS)))
    difference = _compare(_each(module, images), exported, "ONNX", path)
    return (
        f"One image at a time, boxes cxcywh in 0..1. Largest difference from torch on {len(images)} images: "
        f"{difference:.1e} of the spread."
    )


def _written(module: nn.Module, images: Tensor, path: Path) -> Any:
    """A session of the file, by torch's exporter of graphs, or by the older one that records: some pass one only."""
    import onnxruntime

    refusals = []
    for graphs in (True, False):
        try:
            torch.onnx.export(
                module, (images,), str(path), input_names=["images"], output_names=list(PARTS), dynamo=graphs,
                **({"external_data": False, "verbose": False} if graphs else {"opset_version": 17}),
            )  # fmt: skip
            return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:
            path.unlink(missing_ok=True)
            refusals.append(f"{type(error).__name__}: {' '.join(str(error).split())[:120]}")
    raise StudioError(f"This model can't be written as ONNX ({'; '.join(refusals)}).")


def _each(module: nn.Module, images: Tensor) -> tuple[np.ndarray, ...]:
    with torch.inference_mode():
        rows = [module(image[None]) for image in images]
    return tuple(torch.cat([row[part] for row in rows]).numpy() for part in range(len(PARTS)))


def _compare(expected: tuple[np.ndarray, ...], exported: tuple[np.ndarray, ...], what: str, path: Path) -> float:
    """The larger difference of logits and boxes, in shares of their spread. Raises StudioError where it is too large.

    Queries have no order, and rounding may exchange two that score alike: each is compared with its nearest.
    """
    spreads = [max(float(np.ptp(queries)), 1e-6) for queries in expected]
    scaled, other = (
        np.concatenate([part / spread for part, spread in zip(parts, spreads, strict=True)], axis=2)
        for parts in (expected, exported)
    )
    order = np.stack([_nearest(queries, others) for queries, others in zip(scaled, other, strict=True)])
    apart = np.abs(scaled - np.take_along_axis(other, order[..., None], axis=1)).max(axis=(0, 1))
    classes = expected[0].shape[2]
    differences = [float(apart[:classes].max()), float(apart[classes:].max())]
    if not max(differences) <= TOLERANCE:
        path.unlink(missing_ok=True)
        faults = ", ".join(f"{name} by {value:.2e}" for name, value in zip(PARTS, differences, strict=True))
        raise StudioError(
            f"The {what} model computes something else: {faults} of their spread (allowed {TOLERANCE:g}). "
            "It was not kept."
        )
    return max(differences)


def _nearest(queries: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each of queries [Q, D] the place of its own partner among others [Q, D], by the least sum of distances."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(np.abs(queries[:, None] - others[None]).sum(axis=2))[1]
