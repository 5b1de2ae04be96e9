"""Every deep method the whole way: two tiny domains in, a checkpoint that answers out."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from studio import run
from studio.core import registry
from studio.core.faces import Learner
from studio.core.home import Home
from studio.runs.predict import load_checkpoint

torch.set_num_threads(1)
SIDE, CLASSES = 12, 3
BACKBONE = "studio/conv4?image_size=16&width=8"


def images_of(shift: int, per_class: int, classes: int = CLASSES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Bars at a place that tells the class, on a ground that tells the domain."""
    draw = np.random.default_rng(seed + shift)
    labels = np.arange(per_class * classes) % classes
    images = draw.integers(0, 40, (len(labels), SIDE, SIDE)) + shift
    for image, label in zip(images, labels, strict=True):
        image[:, 1 + 3 * label : 4 + 3 * label] += 120
    return images.clip(0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("domains")
    for name, (shift, per_class, classes) in {
        "source": (0, 16, 3), "target": (60, 12, 3), "open": (60, 10, 4), "partial": (60, 12, 2),
    }.items():  # fmt: skip
        x, y = images_of(shift, per_class, classes)
        np.savez(folder / f"{name}.npz", x=x, y=np.array(list("abcd"))[y])
    np.savez(folder / "unlabelled.npz", x=images_of(60, 12)[0])
    return folder


def recipe(folder: Path, method: str, target: str = "target", **sections) -> dict:
    data = {"source": f"npz:{folder}/source.npz", "target": f"npz:{folder}/{target}.npz"}
    values = {
        "task": "align", "method": method, "device": "cpu",
        "model": {"backbone": BACKBONE, **sections.pop("model", {})}, "data": {**data, **sections.pop("data", {})},
        "params": {"bottleneck": 16, **sections.pop("params", {})},
        "train": {"epochs": 2, "batch_size": 12, "augment": "none", "workers": 1, **sections.pop("train", {})},
        "eval": {"source_only": False, **sections.pop("eval", {})},
    }  # fmt: skip
    return {**values, **sections}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("studio.core.procedure.Job.figure", lambda *_: None)
    monkeypatch.setattr("adapters.align.deep.run.report._map", lambda *_: None)


def events_of(home: Home) -> list[dict]:
    lines = next(iter(home.root.rglob("events.jsonl"))).read_text().splitlines()
    return [json.loads(line) for line in lines]


CLOSED = [
    cls.id
    for cls in registry.methods("align")
    if issubclass(cls, Learner) and cls.setting == "closed" and not cls.needs_checkpoint
]


@pytest.mark.parametrize("method", CLOSED)
def test_a_closed_set_method_goes_the_whole_way(method, folder, home, quick):
    result = run(recipe(folder, method), home=home)
    assert result.status == "finished" and 0 <= result.metrics["target_accuracy"] <= 1
    model = load_checkpoint(result.checkpoint, home, device="cpu")
    x, _ = images_of(60, 2, seed=9)
    answers = model.predict([Image.fromarray(image).convert("RGB") for image in x])
    assert all(answer["label"] in "abc" and 0 < answer["score"] <= 1 for answer in answers)
