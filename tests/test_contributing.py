"""The worked example of CONTRIBUTING.md is a method that works."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from studio import run
from studio.core import recipe, registry
from studio.core.errors import UsageError
from studio.core.faces import Episodes
from studio.core.home import Home

PAGE = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"
DIGITS = "builtin:digits?per_class=12"


@pytest.fixture
def example(tmp_path: Path) -> Iterator[type[registry.Method]]:
    """The method on the page, saved as the file it says and found by the registry."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "nearest_neighbor.py"
    file.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("nearest_neighbor", file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield registry.get("fewshot/nearest-neighbor")
    registry._METHODS.pop("fewshot/nearest-neighbor")


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
