"""The table leaves each domain out, goes on where it was interrupted, and pairs its differences to ERM."""

import json

import numpy as np
import pytest

from adapters.generalize.table import GeneralizeTable, left_out, methods_of
from adapters.tables.paired import beside
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store

GLYPHS = "builtin:glyphs?domain={}&classes=2&per_class=6&size=16"
DOMAINS = "; ".join(f"{font}={GLYPHS.format(font)}" for font in ("sans", "serif", "mono"))
RECIPE = {
    "task": "generalize",
    "method": "generalize/table",
    "model": {"backbone": "studio/conv4?width=4", "image_size": 16},
    "params": {
        "domains": DOMAINS, "methods": "vrex,swad", "unseen": "mono,sans",
        "common": {"freeze_statistics": False}, "settings": {"vrex": {"weight": 2.0}},
    },
    "train": {"epochs": 1, "batch_size": 8, "augment": "none", "lr": 0.01, "workers": 1},
    "device": "cpu",
}  # fmt: skip


def cells(folder) -> list[dict]:
    return [json.loads(line) for line in (folder.path / "cells.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("asked_at_every_step")
def test_it_goes_on_where_it_was_stopped_to_the_same_table(home):
    whole, broken = (submit(recipes.parse(RECIPE), Store(home)) for _ in range(2))
    assert run_inline(whole, home).status == "finished"
    stop = lambda: (broken.path / "cells.jsonl").exists() and len(cells(broken)) >= 2  # noqa: E731
    assert run_inline(broken, home, should_stop=stop).status == "stopped"
    assert run_inline(broken, home, resume=True).status == "finished"
    one, two = ([{**cell, "seconds": 0} for cell in cells(folder)] for folder in (whole, broken))
    assert one == two and [(cell["method"], cell["task"]) for cell in one] == [
        (method, domain) for domain in ("mono", "sans") for method in ("erm", "vrex", "swad")
    ]
    assert whole.metrics()["selection"] == "training-domain validation" and whole.metrics()["cells"] == 6
    assert [line.split(",")[0] for line in (whole.path / "table.csv").read_text().splitlines()] == [
        "method", "erm", "vrex", "swad",
    ]  # fmt: skip
    assert all((whole.path / f"table.{kind}").exists() for kind in ("md", "tex"))
    assert not list((whole.path / "state").glob("*"))  # the networks' resume state is gone with its cell


def test_a_difference_to_erm_is_paired_over_domains_and_seeds():
    accuracies = {"erm": [[0.5, 0.6], [0.7, 0.8]], "irm": [[0.55, 0.6], [0.75, 0.9]]}
    found = {
        (method, domain, seed): {"accuracy": accuracies[method][seed][place]}
        for method in accuracies
        for seed in range(2)
        for place, domain in enumerate("ab")
    }
    deviation, difference, half = beside("irm", "erm", ["a", "b"], [0, 1], found)
    gains = np.array([5, 0, 5, 10])
    assert difference == pytest.approx(5.0) and deviation == pytest.approx(np.std([57.5, 82.5], ddof=1))
    assert half == pytest.approx(3.182446 * gains.std(ddof=1) / 2, rel=1e-5)  # Student's t of three degrees
    assert beside("erm", "erm", ["a", "b"], [0, 1], found)[1:] == [None, None]
    found["irm", "a", 1]["accuracy"] = None
    assert beside("irm", "erm", ["a", "b"], [0, 1], found)[1:] == [None, None]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"domains": "a=folder:a; b=folder:b"}, "found 2; leaving one out .*three or more"),
        ({"domains": DOMAINS, "unseen": "serf"}, "'serf' is none of the domains.*serif"),
        ({"domains": DOMAINS, "methods": "imr"}, "no method generalize/imr.*irm"),
        ({"domains": DOMAINS, "settings": {"irm": {"weigth": 1}}}, "params.settings.irm: .*'weigth'.*weight"),
        ({"domains": DOMAINS, "settings": {"irm": {"weight": -1}}}, "params.settings.irm.weight: found -1"),
    ],
)
def test_a_table_that_can_not_be_made_is_refused_before_the_first_cell(params, words):
    table = GeneralizeTable.Params(**params)
    with pytest.raises(UsageError, match=words):
        methods_of(table)
        left_out(table, table.specs())
