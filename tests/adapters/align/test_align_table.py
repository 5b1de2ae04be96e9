"""The table goes on where it was interrupted, and writes what it found."""

from types import SimpleNamespace

import numpy as np
import pytest

from adapters.align.domains import Domain, TargetTruth, pair_of, reveal
from adapters.align.table import AlignTable, domain_specs
from adapters.tables.cells import read_cells
from adapters.tables.files import averaged, latex, markdown
from studio.core.errors import DataError, UsageError


def test_a_cell_cut_short_by_a_kill_is_done_again(tmp_path) -> None:  # noqa: ANN001
    path = tmp_path / "cells.jsonl"
    path.write_text('{"method": "tca", "task": "A-B", "seed": 0, "accuracy": 0.5}\n{"method": "jda", "ta')
    assert list(read_cells(path)) == [("tca", "A-B", 0)]
    with open(path, "a") as file:
        file.write('{"method": "jda", "task": "A-B", "seed": 0, "accuracy": 0.6}\n')
    assert len(read_cells(path)) == 2


def test_a_failed_cell_leaves_a_gap_and_no_average() -> None:
    cells = {("tca", "A-B", 0): {"accuracy": 0.5}, ("tca", "A-B", 1): {"accuracy": 0.7}, ("jda", "A-B", 0): {}}
    rows = averaged(["tca", "jda"], ["A-B"], [0, 1], cells)
    assert rows[0] == ("tca", [pytest.approx(60.0), pytest.approx(60.0)])
    assert rows[1] == ("jda", [None, None])
    assert "| tca | 60.0 | 60.0 |" in markdown(["method", "A-B", "average"], rows)
    assert "jda & -- & --" in latex(["method", "A_B", "average"], rows)


def test_domains_with_other_classes_are_told_and_the_shared_ones_used() -> None:
    x = np.arange(12.0).reshape(6, 2)
    source = Domain(x, np.array([0, 1, 2, 0, 1, 2]), ["cat", "dog", "cow"])
    target = Domain(x, np.array([0, 1, 2, 0, 1, 2]), ["dog", "cat", "owl"])
    pair, truth = pair_of(source, target)
    assert pair.classes == ["cat", "dog"] and list(pair.ys) == [0, 1, 0, 1] and list(truth.labels) == [1, 0, 1, 0]
    assert "cow" in pair.note and "owl" in pair.note
    with pytest.raises(DataError, match="share only the class .* by name"):
        pair_of(source, Domain(x, np.array([0, 1] * 3), ["dog", "owl"]))


def test_revealed_labels_are_seeded_and_leave_some_to_score() -> None:
    truth = TargetTruth(np.repeat([0, 1, -1], 5))
    few = reveal(truth, 2, ["a", "b"], seed=3)
    assert list(few.rows) == list(reveal(truth, 2, ["a", "b"], seed=3).rows)
    assert list(np.bincount(few.labels)) == [2, 2] and list(few.labels) == list(truth.labels[few.rows])
    assert truth.scored(few).sum() == 6 and not truth.scored(few)[few.rows].any()
    with pytest.raises(UsageError, match="nothing would be left to score"):
        reveal(truth, 5, ["a", "b"], seed=3)


def test_a_folder_that_is_not_named_is_asked_for() -> None:
    params = AlignTable.Params(domains="A=mat:{folder}/a.mat; B=mat:{folder}/b.mat")
    recipe = SimpleNamespace(data=SimpleNamespace())
    with pytest.raises(UsageError, match="params.folder"):
        domain_specs(params, recipe)
    assert domain_specs(params.model_copy(update={"folder": "x/"}), recipe) == {"A": "mat:x/a.mat", "B": "mat:x/b.mat"}
