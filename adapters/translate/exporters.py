"""Generators as ONNX, compared with the checkpoint on real images, alone or with the script that filters films."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adapters.translate import film_filter
from adapters.translate.data.batches import to_bytes
from adapters.translate.film_filter import Settings, onnx_network, translated
from studio.core.errors import StudioError, UsageError

TOLERANCE = 1e-3  # largest difference that still counts as the same network; images are in -1..1
LEVELS = 3  # of 255: mean difference of filtered images that still counts as the same, for images are resized otherwise

FILM_USE = """\
    pip install onnxruntime av numpy pillow
    python film_filter.py FILM.mp4 OUT.mp4

`film_filter.py` needs nothing of the studio: it reads `model.onnx` and `film.json`, sends each frame through the
network, in overlapping tiles where it is large, and keeps the film's sound and times. `--help` names the rest."""


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


def write_film_filter(model: Any, images: Tensor, folder: Path) -> tuple[str, str]:
    """`film_filter.py` and its `film.json` beside the `model.onnx` of a loaded checkpoint: a note, and how it is used.

    Raises StudioError where the script makes other images than the checkpoint.
    """
    view = model.predictor.view
    settings = Settings(view.short, view.tile, model.predictor.learner.stride, view.strength, view.steady)
    network = onnx_network(folder / "model.onnx")
    photos = [Image.fromarray(pixels.permute(1, 2, 0).numpy()) for pixels in to_bytes(images[::4])]
    difference = max(
        float(np.abs(translated(photo, network, settings).astype(float) - model.predictor.translate(photo)).mean())
        for photo in photos
    )
    if difference > LEVELS:
        raise StudioError(
            f"The film filter makes other images than the checkpoint: pixels differ by {difference:.1f} of 255 on the "
            f"mean (allowed {LEVELS}). It was not kept."
        )
    (folder / "film.json").write_text(json.dumps(asdict(settings), indent=2), encoding="utf-8")
    shutil.copy(film_filter.__file__, folder / "film_filter.py")
    return f"film_filter.py makes the same of {len(photos)} images (mean difference {difference:.2f} of 255).", FILM_USE
