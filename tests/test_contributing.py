"""The worked examples of CONTRIBUTING.md are methods that work."""

import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from studio import run
from studio.core import recipe, registry
from studio.core.errors import UsageError
from studio.core.faces import Episodes
from studio.core.home import Home
from studio.runs.predict import load_checkpoint
from studio.store import Store

PAGE = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
DIGITS = "builtin:digits?per_class=12"


@contextmanager
def saved(name: str, folder: Path) -> Iterator[type[registry.Method]]:
    """The method `name` of the page, saved as a file and found by the registry."""
    (code,) = [code for code in CODE.findall(PAGE.read_text(encoding="utf-8")) if f'@register("{name}")' in code]
    file = folder / f"{name.partition('/')[2].replace('-', '_')}.py"
    file.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield registry.get(name)
    registry._METHODS.pop(name)


@pytest.fixture
def example(tmp_path: Path) -> Iterator[type[registry.Method]]:
    with saved("fewshot/nearest-neighbor", tmp_path) as method:
        yield method


@pytest.fixture
def alternating(tmp_path: Path) -> Iterator[type[registry.Method]]:
    with saved("align/domain-confusion", tmp_path) as method:
        yield method


def test_the_example_is_known_everywhere_by_its_one_file(example: type[registry.Method]) -> None:
    described = registry.describe(example)
    assert described["face"] == "EpisodeHead"
    assert described["params"][0]["name"] == "norm"
    values = {"method": example.id, "data": {"train": "builtin:digits"}}
    recipe.put(values, "params.norm", "1")
    assert recipe.parse(values).method_params().norm == 1.0
    with pytest.raises(UsageError, match=r"params\.norm: found 0\.5"):
        recipe.parse({**values, "params": {"norm": 0.5}})


@pytest.mark.parametrize("norm", [1.0, 2.0, 3.0])
def test_the_example_agrees_with_plain_loops(example: type[registry.Method], norm: float) -> None:
    random = torch.Generator().manual_seed(0)
    support = torch.randn(4, 7, 5, generator=random, dtype=torch.float64)
    query = torch.randn(4, 6, 5, generator=random, dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 2, 2, 2, -1]).expand(4, 7)
    mask = torch.ones(4, 6, dtype=torch.bool)
    scores = example(example.Params(norm=norm)).scores(Episodes(support, labels, query, mask, ways=3))
    assert scores.shape == (4, 6, 3)
    for t, q, way in np.ndindex(4, 6, 3):
        members = [s for s in range(7) if labels[t, s] == way]
        nearest = min(np.linalg.norm(query[t, q].numpy() - support[t, s].numpy(), ord=norm) for s in members)
        assert -scores[t, q, way].item() == pytest.approx(nearest, rel=1e-9)


def test_the_example_runs_from_a_preset(example: type[registry.Method], home: Home) -> None:
    overrides = {"method": example.id, "params.norm": 1.0, "eval.episodes": 50, "data.train": DIGITS}
    result = run("quickstart", overrides, home=home)
    assert result.status == "finished"
    assert result.metrics["accuracy"] > 0.5  # of ten classes


def test_the_learner_of_two_streams_and_two_phases_runs(alternating: type[registry.Method], home: Home) -> None:
    glyphs = "builtin:glyphs?classes=3&per_class=24&size=28&domain={}"
    result = run(
        {
            "task": "align", "method": alternating.id, "model": {"backbone": "studio/conv4", "image_size": 28},
            "data": {"source": glyphs.format("sans-bold"), "target": glyphs.format("stix")},
            "params": {"bottleneck": 16, "backbone_lr": 1.0, "weight": 0.1},
            "train": {"epochs": 8, "batch_size": 12, "lr": 0.01, "workers": 1, "augment": "none"}, "device": "cpu",
        },
        home=home,
    )  # fmt: skip
    assert result.status == "finished" and "source_only_accuracy" in result.metrics
    events = [event for event in Store(home).run(result.run).events() if event["kind"] == "scalar"]
    curves = {
        name: [e["value"] for e in events if e["name"].endswith(name)] for name in ("classify", "target_told_apart")
    }
    assert np.mean(curves["classify"][-3:]) < 0.6 * np.mean(curves["classify"][:3])
    assert all(0 <= share <= 1 for share in curves["target_told_apart"]) and len(curves["target_told_apart"]) > 6
    checkpoint = load_checkpoint(result.checkpoint, home, device="cpu")
    assert "discriminator" not in " ".join(checkpoint.checkpoint.tensors())  # what only training needs is not kept
