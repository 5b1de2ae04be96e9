"""What a trained network shows of itself: its features before and after, where it looks, how sure it should be."""

from typing import Any

import numpy as np
import torch
from PIL import Image

from studio.core.faces import Learner
from studio.core.procedure import Job
from studio.data.preprocess import Preprocess
from studio.engine.decoded import Decoded, inputs
from studio.figures import grid_figure, overlay, tsne_figure
from studio.metrics import ece, fit_temperature

MAPPED = 200  # images on the map of features
LOOKED_AT = 6


def features_now(job: Job, learner: Learner, split: Decoded, preprocess: Preprocess) -> np.ndarray | None:
    """Features [N, D] of the first `MAPPED` images; None where the method has none."""
    learner.train_mode(False)
    parts = []
    with torch.inference_mode():
        for start in range(0, min(MAPPED, len(split.dataset)), 32):
            found = learner.features(inputs(job, split, preprocess, slice(start, min(start + 32, MAPPED))))
            if found is None:
                return None
            parts.append(found.float().cpu().numpy())
    return np.concatenate(parts)


def map_features(job: Job, split: Decoded, before: np.ndarray | None, after: np.ndarray | None) -> None:
    """t-SNE of the validation images before and after training."""
    if before is None or after is None or len(before) < 5:
        return
    labels = split.dataset.labels[: len(before)]
    figure = tsne_figure({"before": before, "after": after}, labels, split.dataset.classes)
    job.figure("features", figure)


def show_where_it_looks(job: Job, learner: Learner, split: Decoded, preprocess: Preprocess) -> None:
    """Heat over a few validation images, one a class as far as they go."""
    _, firsts = np.unique(split.dataset.labels, return_index=True)
    rows = np.sort(firsts)[:LOOKED_AT]
    learner.train_mode(False)
    chosen = split.part(rows)
    found = learner.explain(inputs(job, chosen, preprocess, slice(0, len(rows))))
    if found is None:
        return
    name, heat = found
    originals = [Image.fromarray(pixels.transpose(1, 2, 0)) for pixels in np.asarray(chosen.pixels)]
    heats = heat.float().cpu().numpy()
    pairs = [
        image for original, heat in zip(originals, heats, strict=True) for image in (original, overlay(original, heat))
    ]
    captions = [text for label in chosen.dataset.labels for text in (chosen.dataset.classes[label], name)]
    job.figure("attention", grid_figure(pairs, captions))


def calibrate(probabilities: np.ndarray, labels: np.ndarray, scored: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """The temperature that fits validation probabilities [N, C] best, and the calibration error of `scored` with it."""
    temperature = fit_temperature(np.log(np.maximum(probabilities, 1e-12)), labels)
    warmed = np.log(np.maximum(scored, 1e-12)) / temperature
    warmed = np.exp(warmed - warmed.max(axis=1, keepdims=True))
    return {
        "temperature": round(temperature, 4),
        "ece_scaled": ece(warmed / warmed.sum(axis=1, keepdims=True), truth),
    }
