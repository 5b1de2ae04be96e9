"""Runs side by side: what differs, seeds gathered, intervals that no want of errors makes narrow, tables to keep."""

import csv
import io
import json
import math

import pytest
from scipy.stats import t

import studio
from studio.cli import main
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.events import EventWriter
from studio.core.home import Home
from studio.runs.comparison import Number, compare, number_of
from studio.runs.comparison_table import as_text, said
from studio.runs.lineage import lineage
from studio.store import Store
from studio.store.checkpoint import Manifest


@pytest.fixture
def store(tmp_path):
    return Store(Home.find(tmp_path / "home"))


def finished(store, metrics, seconds=2.0, checkpoint=None, **values):
    """A run that ended with these metrics, without having been worked on."""
    recipe = {"method": "finetune/full", "data": {"train": "builtin:digits"}, **values}
    run = store.new_run(recipes.parse(recipe))
    with EventWriter(run.events_path) as events:
        events.emit("metrics", metrics=metrics)
        if checkpoint:
            events.emit("checkpoint", checkpoint=checkpoint, role="final")
        events.status("finished", seconds=seconds, device="cpu")
    return run.id


def seeded(store, accuracies, **values):
    return [
        finished(store, {"accuracy": accuracy, "accuracy_ci95": 0.01}, train={"seed": seed}, **values)
        for seed, accuracy in enumerate(accuracies)
    ]


def test_only_what_differs_is_a_key_and_seeds_of_one_recipe_are_one_row(store):
    mild = seeded(store, [0.90, 0.92, 0.94])
    strong = finished(store, {"accuracy": 0.8}, params={"label_smoothing": 0.2})
    comparison = compare([*mild, strong], store)
    assert comparison.keys == ["params.label_smoothing"]
    assert [row.runs for row in comparison.rows] == [mild, [strong]]
    number = comparison.rows[0].numbers["accuracy"]
    half = t.ppf(0.975, 2) * 0.02 / math.sqrt(3)
    assert number.runs == 3 and number.value == pytest.approx(0.92) and number.half == pytest.approx(half)
    assert comparison.headlines[0] == "accuracy" and "seconds" in comparison.metrics


def test_seeds_that_agree_keep_the_interval_of_one_run(store):
    number = compare(seeded(store, [0.9, 0.9]), store).rows[0].numbers["accuracy"]
    assert (number.low, number.high) == pytest.approx((0.89, 0.91))


@pytest.mark.parametrize("metrics", [
    {"accuracy": 1.0, "accuracy_ci95": 0.0, "episodes": 600},
    {"accuracy": 1.0, "accuracy_ci95": math.nan, "episodes": 40},
    {"target_accuracy": 1.0, "scored_on": 30},
])  # fmt: skip
def test_an_interval_without_errors_is_wilsons(metrics):
    name = next(iter(metrics))
    number = number_of(name, metrics)
    count = metrics.get("episodes") or metrics["scored_on"]
    assert number.high == pytest.approx(1.0) and number.low == pytest.approx(count / (count + 1.959964**2), rel=1e-6)
    assert "0.000" not in said(number)


@pytest.mark.parametrize(("number", "words"), [
    (Number(0.5), "0.500"),
    (Number(0.5, 0.4, 0.6), "0.500 ± 0.100"),
    (Number(0.98, 0.928, 1.0), "0.980 (0.928 – 1.000)"),
    (Number(0.75, 0.74998, 0.75002), "0.750000 ± 0.000020"),
    (Number(14.6, 14.2, 15.0), "14.6 ± 0.4"),
    (None, ""),
])  # fmt: skip
def test_a_number_has_the_digits_that_its_interval_needs(number, words):
    assert said(number) == words


def test_remarks_say_what_the_numbers_do_not(store):
    one = finished(store, {"accuracy": 0.9, "near_copies": 4, "scored_on": "val"})
    other = finished(
        store, {"accuracy": 0.9, "scored_on": "test"}, data={"train": "builtin:digits", "test": "folder:x"}
    )
    remarks = " ".join(compare([one, other], store).remarks)
    assert "up to 4 of the images that this is scored on are nearly the same" in remarks
    assert "differ in scored_on: test, val" in remarks and "other data" in remarks


def test_tables_hold_the_numbers_and_are_sound_whatever_stands_in_a_recipe(store):
    specs = ["folder:50% & {more}|less", "builtin:digits"]
    runs = [finished(store, {"accuracy": 0.9, "accuracy_ci95": 0.02}, name="my_run", data={"train": specs[0]})]
    runs.append(finished(store, {"accuracy": 0.8}, name="plain", data={"train": specs[1]}))
    comparison = compare(runs, store)
    rows = list(csv.DictReader(io.StringIO(as_text(comparison, "csv"))))
    assert [row["data.train"] for row in rows] == specs and float(rows[0]["accuracy_low"]) == pytest.approx(0.88)
    latex = as_text(comparison, "latex")
    assert r"my\_run & folder:50\% \& \{more\}|less & 0.900 $\pm$ 0.020 \\" in latex and latex.count("tabular") == 2
    markdown = as_text(comparison, "markdown").splitlines()
    assert r"{more}\|less" in markdown[2] and markdown[2].replace(r"\|", "").count("|") == markdown[0].count("|")


def test_the_command_line_and_python_compare_too(store, monkeypatch, capsys):
    monkeypatch.setenv("STUDIO_HOME", str(store.home.root))
    runs = seeded(store, [0.9, 0.8])
    assert main(["compare", *runs, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["numbers"]["accuracy"]["runs"] == 2
    assert main(["compare", *runs, "--format", "latex"]) == 0
    assert r"\begin{tabular}" in capsys.readouterr().out
    assert main(["compare", *runs]) == 0 and "full" in capsys.readouterr().out
    assert studio.compare(*runs).rows[0].numbers["accuracy"].value == pytest.approx(0.85)
    assert main(["compare", runs[0]]) == UsageError.exit_code


def test_a_lineage_goes_from_data_and_parents_to_what_was_taught(store):
    def put(parent=None):
        manifest = Manifest(face="Learner", task="classify", method="finetune/full", lineage={"parent": parent})
        return store.put(manifest, {}).id

    base = put()
    left = put()
    taught = put(left)
    run = finished(store, {}, checkpoint=left, model={"checkpoint": base})
    nodes = lineage(store.run(run), store)
    assert [(node.kind, node.name) for node in nodes] == [
        ("checkpoint", base), ("data", "train: builtin:digits"), ("run", run), ("checkpoint", left), ("taught", taught),
    ]  # fmt: skip
    assert [node.depth for node in nodes] == [0, 1, 2, 3, 4]
