"""Shallow and deep methods stand in one table, each beside its own source only."""

import json
from pathlib import Path

import numpy as np
import pytest

from adapters.align.table import AlignTable, _methods
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store


@pytest.fixture(scope="module")
def domains(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("domains")
    for name, shift in {"a": 0, "b": 60}.items():
        draw, labels = np.random.default_rng(shift), np.arange(36) % 3
        x = draw.integers(0, 40, (36, 12, 12)) + shift
        for image, label in zip(x, labels, strict=True):
            image[:, 4 * label : 3 + 4 * label] += 120
        np.savez(folder / f"{name}.npz", x=x.clip(0, 255).astype(np.uint8), y=np.array(list("cde"))[labels])
    return f"a=npz:{folder}/a.npz; b=npz:{folder}/b.npz"


def test_a_table_of_both_kinds_goes_on_from_its_cells(domains, tmp_path, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setattr("studio.core.procedure.Job.figure", lambda *_: None)
    home = Home.find(tmp_path)
    params = {
        "domains": domains, "methods": "coral, shot, bnm", "tasks": "a-b", "seeds": 2, "common": {"bottleneck": 8},
    }  # fmt: skip
    recipe = {
        "task": "align", "method": "align/table", "params": params, "device": "cpu",
        "model": {"backbone": "studio/conv4?image_size=16&width=8"},
        "train": {"epochs": 1, "batch_size": 12, "augment": "none", "workers": 1},
    }  # fmt: skip
    folder = submit(recipes.parse(recipe), Store(home))
    result = run_inline(folder, home)
    assert result.status == "finished", result.error
    cells = [json.loads(line) for line in (folder.path / "cells.jsonl").read_text().splitlines()]
    order = ["none", "coral", "source-only", "bnm", "shot", "target labels (bound)"]
    assert [cell["method"] for cell in cells] == order * 2
    assert [cell["error"] for cell in cells] == [None] * 12
    header, first, *_ = (folder.path / "table.csv").read_text().splitlines()
    assert header == "method,a-b,average,±seeds,minus source only,±95% paired" and first.startswith("none,")
    _forget(folder.path / "cells.jsonl", "shot")  # as though killed before; it starts from the stored source only
    before = len(list(Store(home).checkpoints()))
    again = run_inline(folder, home, resume=True)
    assert again.metrics["averages"] == pytest.approx(result.metrics["averages"])
    assert len(list(Store(home).checkpoints())) == before


def _forget(path: Path, method: str) -> None:
    kept = [line for line in path.read_text().splitlines() if json.loads(line)["method"] != method]
    path.write_text("\n".join(kept) + "\n")


def test_kinds_stand_for_their_methods_and_each_comes_behind_its_source_only() -> None:
    both = _methods(AlignTable.Params(methods="tca,deep"))
    assert both.shallow == ["none", "tca"] and both.deep[0] == "source-only" and both.deep[-1] == "shot"
    assert {"dann", "mcc"} < set(both.deep) and not {"tent", "osbp", "pada"} & set(both.deep)
    assert _methods(AlignTable.Params()).deep == []
    assert _methods(AlignTable.Params(methods="dann")).names == ["source-only", "dann"]
    with pytest.raises(UsageError, match="params.settings.dann: there is no parameter 'wight'"):
        _methods(AlignTable.Params(methods="dann", settings={"dann": {"wight": 2}}))
