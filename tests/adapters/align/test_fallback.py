"""Alignment never hurts in silence: harm is warned of, and source only kept where it was asked for; gain is kept."""

import json

import numpy as np
import pytest

from adapters.align.domains import Pair
from adapters.align.fallback import compare, source_only
from adapters.align.ot import OptimalTransport
from studio import run
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.store import Store


def filed(folder, name: str, x: np.ndarray, y: np.ndarray) -> str:
    np.savez(folder / f"{name}.npz", X=x, y=y)
    return f"npz:{folder / name}.npz?x=X&y=y"


def domains(shift: float) -> tuple[np.ndarray, ...]:
    """Five classes in eight dimensions, and a target that lies `shift` beside its source in each."""
    rng = np.random.default_rng(0)
    centres, y = 2 * rng.normal(size=(5, 8)), np.arange(100) % 5
    return centres[y] + rng.normal(size=(100, 8)), y, centres[y] + rng.normal(size=(100, 8)) + shift, y


def result_of(method: str, params: dict, shift: float, fallback: str, tmp_path):
    xs, ys, xt, yt = domains(shift)
    specs = {"source": filed(tmp_path, "s", xs, ys), "target": filed(tmp_path, "t", xt, yt)}
    home = Home.find(tmp_path / "home")
    recipe = {"task": "align", "method": method, "data": specs, "eval": {"fallback": fallback}, "device": "cpu"}
    result = run({**recipe, "params": {"normalize": "none", **params}}, home=home)
    events = next((tmp_path / "home").rglob("events.jsonl")).read_text().splitlines()
    return result, [json.loads(line) for line in events], home


def said(events: list[dict], kind: str) -> str:
    return " ".join(event["message"] for event in events if event["kind"] == kind)


@pytest.mark.parametrize("fallback", ["none", "source-only"])
def test_harm_is_warned_of_and_source_only_kept_where_asked(fallback, tmp_path):
    result, events, home = result_of("align/tca", {"dim": 1}, 0.0, fallback, tmp_path)
    metrics = result.metrics
    assert metrics["label_free_score"] < metrics["source_only_label_free_score"]
    assert metrics["target_accuracy"] < metrics["source_only_accuracy"]
    assert "Negative transfer is likely" in said(events, "warning")
    assert "measured on target labels" in said(events, "warning")
    kept = fallback == "source-only"
    assert metrics["kept"] == ("source only" if kept else "method")
    assert metrics["kept_accuracy"] == metrics["source_only_accuracy" if kept else "target_accuracy"]
    manifest = Store(home).checkpoint(result.checkpoint).manifest
    assert manifest.method == ("align/none" if kept else "align/tca")
    assert manifest.metrics["target_accuracy"] == metrics["kept_accuracy"]


def test_gain_is_kept_without_a_warning(tmp_path):
    result, events, _ = result_of("align/ot", {}, 2.0, "source-only", tmp_path)
    assert result.metrics["target_accuracy"] > result.metrics["source_only_accuracy"]
    assert result.metrics["kept"] == "method"
    assert "Kept is the method" in said(events, "note") and "Negative" not in said(events, "warning")


def test_circular_does_not_see_that_transport_mixes_classes_which_come_in_other_shares():
    rng = np.random.default_rng(0)
    centres, ys, yt = 2 * rng.normal(size=(5, 8)), np.arange(100) % 5, np.repeat(np.arange(5), [60, 10, 10, 10, 10])
    xs, xt = (centres[y] + rng.normal(size=(100, 8)) for y in (ys, yt))
    pair = Pair(xs, ys, xt, list("abcde"))
    method = OptimalTransport(OptimalTransport.Params(normalize="none")).fit(xs, ys, xt)
    plain = source_only(method, pair)
    found = compare(method, plain, pair, "circular", 0)
    assert [(one.predict(xt) == yt).mean() for one in (plain, method)] == pytest.approx([0.88, 0.58], abs=0.05)
    assert not found.harms  # what docs/alignment.md warns of


def test_the_fallback_is_refused_where_no_label_free_score_compares():
    with pytest.raises(UsageError, match=r"eval.fallback: source-only is not for align/asvm"):
        recipes.parse({"task": "align", "method": "align/asvm", "eval": {"fallback": "source-only"}})
