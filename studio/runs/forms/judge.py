"""Forms of one network beside each other: how often each is right, how large and how fast it is."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import StudioError
from studio.data import Dataset
from studio.data.preprocess import Preprocess
from studio.runs.forms.own_images import batches
from studio.runs.forms.runners import Form

ROUNDS, LEAST_S = 7, 0.05


def compared(
    forms: Mapping[str, Form], files: Mapping[str, Path], dataset: Dataset, preprocess: Preprocess
) -> list[dict[str, Any]]:
    """A row for each form on labelled images: `form`, what `judged` says, `size_mb` of its file, `ms` an image."""
    found = judged(forms, batches(dataset, preprocess))
    one = next(batches(dataset, preprocess, size=1))[0]
    spent = milliseconds(forms, one)
    return [{"form": name, **found[name], "size_mb": size_mb(files[name]), "ms": spent[name]} for name in forms]


def refuse_if_worse(float_row: dict[str, Any], row: dict[str, Any], where: str, max_drop: float) -> None:
    """Raises StudioError where accuracy falls by more than `max_drop`, 0..1."""
    drop = float_row["accuracy"] - row["accuracy"]
    if drop > max_drop + 1e-9:
        raise StudioError(
            f"As {row['form']} it is right on {row['accuracy']:.1%} of {row['images']} images ({where}), and on "
            f"{float_row['accuracy']:.1%} as float: {100 * drop:.1f} points less, where {100 * max_drop:g} may "
            "be lost. "
            "It was not kept. Allow more with --max-drop, or take onnx."
        )


def said_of(float_row: dict[str, Any], row: dict[str, Any], where: str) -> str:
    """A form beside float ONNX, in a sentence."""
    return (
        f"Judged on {row['images']} images ({where}): the same answer as float ONNX on {row['agreement']:.1%}, "
        f"probabilities differ by {row['difference']:.3f} at most; {row['ms']:.1f} ms an image on this processor, "
        f"float {float_row['ms']:.1f} ms."
    )


def judged(forms: Mapping[str, Form], images: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, dict[str, Any]]:
    """By form: `accuracy`, and beside the first form `agreement` (the share of images with the same answer) and
    `difference` (the largest between their probabilities); `images` are batches [B, 3, H, W] with labels [B].
    """
    logits: dict[str, list[np.ndarray]] = {name: [] for name in forms}
    labels = []
    for batch, of_batch in images:
        labels.append(of_batch)
        for name, form in forms.items():
            logits[name].append(form(batch))
    truth = np.concatenate(labels)
    scores = {name: _softmax(np.concatenate(parts)) for name, parts in logits.items()}
    first = next(iter(scores.values()))
    return {
        name: {
            "accuracy": float((found.argmax(1) == truth).mean()),
            "agreement": float((found.argmax(1) == first.argmax(1)).mean()),
            "difference": float(np.abs(found - first).max()),
            "images": len(truth),
        }
        for name, found in scores.items()
    }


def milliseconds(forms: Mapping[str, Form], images: np.ndarray, rounds: int = ROUNDS) -> dict[str, float]:
    """Of a call with `images` [B, 3, H, W], by form. The forms take turns, so that what else the machine does hits
    all alike; the median of the rounds is taken."""
    repeats = {}
    for name, form in forms.items():
        form(images)  # the first call also makes room
        repeats[name] = max(1, round(LEAST_S / max(_seconds(form, images, 1), 1e-6)))
    spent: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, form in forms.items():
            spent[name].append(_seconds(form, images, repeats[name]))
    return {name: 1000 * float(np.median(seconds)) for name, seconds in spent.items()}


def _seconds(form: Form, images: np.ndarray, repeats: int) -> float:
    begun = time.perf_counter()
    for _ in range(repeats):
        form(images)
    return (time.perf_counter() - begun) / repeats


def size_mb(path: Path) -> float:
    """Of a form's file, and of the weights beside it where OpenVINO puts them."""
    weights = [path.with_suffix(".bin")] if path.suffix == ".xml" else []
    return sum(file.stat().st_size for file in [path, *weights]) / 2**20


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
