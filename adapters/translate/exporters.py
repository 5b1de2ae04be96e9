"""Generators as ONNX, compared with the checkpoint on real images."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from studio.core.errors import StudioError, UsageError

TOLERANCE = 1e-3  # largest difference that still counts as the same network; images are in -1..1


def write_onnx(model: Any, images: Tensor, folder: Path) -> tuple[str, str]:
    """`model.onnx` of a loaded checkpoint: what to know of it, and what it puts out.

    Raises UsageError where it is no single network, StudioError where ONNX can't say it.
    """
    import onnxruntime

    generator, path = model.predictor.module(), folder / "model.onnx"
    if generator is None:
        method = model.checkpoint.manifest.method
        raise UsageError(
            f"format onnx: {method} can be shown any style, so it is no single network; it exports as safetensors only."
        )
    generator.eval()
    stride = model.predictor.learner.stride
    batch = torch.export.Dim("batch", min=1, max=4096)
    sides = {axis: stride * torch.export.Dim(name, min=1, max=2048) for axis, name in ((2, "rows"), (3, "columns"))}
    try:
        torch.onnx.export(
            generator, (images[:2],), str(path), input_names=["images"], output_names=["translated"],
            dynamic_shapes=({0: batch, **sides},), dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
    except Exception as error:  # an exporter may raise anything
        path.unlink(missing_ok=True)
        raise StudioError(f"This generator can't be written as ONNX ({str(error)[:200]}).") from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wide = torch.cat([images[:1], images[:1].flip(3)], dim=3)  # a size that it was not exported with
    difference = max(_difference(generator, session, seen, path) for seen in (images, wide))
    return (
        f"For images of any size in multiples of {stride}; larger ones go through it in overlapping tiles. Largest "
        f"difference from torch on {len(images)} images: {difference:.1e} of -1..1."
    ), "translated images [batch, 3, H, W] in -1..1"


def _difference(generator: Any, session: Any, images: Tensor, path: Path) -> float:
    with torch.inference_mode():
        expected = generator(images).numpy()
    made = session.run(None, {"images": images.numpy()})[0]
    difference = float(np.abs(expected - made).max()) if made.shape == expected.shape else float("inf")
    if not difference <= TOLERANCE:
        path.unlink(missing_ok=True)
        raise StudioError(
            f"The exported generator computes something else: pixels differ by {difference:.2e} (allowed {TOLERANCE:g} "
            "of -1..1). It was not kept."
        )
    return difference
