"""SPGAN: a translation that leaves individuals themselves, and the strong baseline on what it makes."""

import numpy as np
import pytest
import torch

from adapters.reid.data.places import PlaceBatches
from adapters.reid.translated_procedure import translated
from adapters.reid.translation import contrastive
from studio import run
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.store import Store

HERE, THERE = (f"builtin:individuals?individuals=6&size=32&views=2&cameras=2&place={place}" for place in (1, 0))
SMALL = {
    "task": "reid", "method": "reid/spgan", "model": {"backbone": "timm/test_resnet?random", "image_size": 32},
    "data": {"source": HERE, "target": THERE}, "device": "cpu",
    "params": {"translator_epochs": 1, "translator_width": 4, "translator_batch": 8},
    "train": {"epochs": 1, "batch_size": 8, "workers": 0, "erasing": 0},
}  # fmt: skip


def test_an_image_and_its_translation_are_one_and_nobody_of_the_other_place():
    draw = torch.Generator().manual_seed(0)
    first, second = (torch.nn.functional.normalize(torch.randn(5, 3, generator=draw), dim=1) for _ in range(2))
    distances = [float((a - b).norm()) for a, b in zip(first, second, strict=True)]
    same, other = contrastive(first, second, True, 1.5), contrastive(first, second[:3], False, 1.5)
    assert same.tolist() == pytest.approx([d**2 for d in distances], abs=1e-5)
    assert other.tolist() == pytest.approx([max(0, 1.5 - d) ** 2 for d in distances[:3]], abs=1e-5)


def test_batches_of_two_places_depend_on_the_step_alone_and_pass_over_the_larger():
    small, large = (np.random.default_rng(count).integers(0, 255, (count, 3, 8, 4), np.uint8) for count in (3, 7))
    batches = PlaceBatches(small, large, 2, 0)
    assert batches.steps_per_epoch == 3
    again = PlaceBatches(small, large, 2, 0).batch(2)
    assert torch.equal(batches.batch(2).target.images, again.target.images) and again.source.names == ["images"]
    assert again.source.images.shape == (2, 3, 8, 4) and float(again.source.images.abs().max()) <= 1


def test_a_run_learns_the_translated_source_and_direct_transfer_stands_beside(home):
    result = run(SMALL, home=home)
    assert result.status == "finished", result.error
    assert result.metrics["direct_from"] == "source" and 0 <= result.metrics["direct_map"] <= 1
    events = Store(home).run(result.run).events()
    names = {event["name"] for event in events if event["kind"] in ("figure", "scalar")}
    assert {
        "translated",
        "translation/train/generate/similarity",
        "translation/train/compare/compare",
        "train/identity",
    } <= names
    kept = Store(home).checkpoint(result.checkpoint).manifest.tensors
    assert not any("generator" in name or name.startswith("aids.") for name in kept)


def test_a_translation_keeps_the_shape_of_what_it_translates():
    class Darker:
        def train_mode(self, training): ...

        def predict(self, images):
            return images - 0.5

    pixels = np.random.default_rng(0).integers(80, 255, (20, 3, 8, 4), np.uint8)
    made = translated(Darker(), pixels, "cpu")
    assert made.shape == pixels.shape and np.abs(pixels.astype(int) - made - 64).max() <= 1


def test_it_needs_both_places_and_chooses_by_no_clusters():
    with pytest.raises(UsageError, match=r"data.source: nothing is named"):
        recipes.parse({**SMALL, "data": {"target": THERE}})
    with pytest.raises(UsageError, match=r"data.target: nothing is named"):
        recipes.parse({**SMALL, "data": {"train": HERE}})
    with pytest.raises(UsageError, match="makes none"):
        recipes.parse({**SMALL, "eval": {"selection": "label-free"}})
