"""Does it serve: a classifier is scored on images as they are and as a translator makes them."""

import pytest

from studio import run
from studio.core.errors import UsageError
from studio.core.tool import Bench
from studio.data import open_data, read_image
from studio.data.files.limits import limits_of
from studio.runs.predict import load_checkpoint
from studio.runs.tools import tool_named, use
from studio.store import Store

DIGITS = "builtin:digits?per_class=6"
CLASSIFIER = {
    "method": "finetune/full", "device": "cpu", "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": DIGITS}, "train": {"epochs": 2, "batch_size": 16, "lr": 0.003},
}  # fmt: skip
TRANSLATOR = {
    "task": "translate", "method": "translate/histogram", "device": "cpu",
    "data": {"target": "builtin:scenes?images=3&size=64&look=night"},
}  # fmt: skip


@pytest.fixture
def checkpoints(home):
    return [run(values, home=home).checkpoint for values in (TRANSLATOR, CLASSIFIER)]


def test_both_scores_are_those_of_each_image_by_itself(home, checkpoints):
    translator, classifier = checkpoints
    bench, tool = Bench(None, None, home), tool_named("serve")
    result = use(tool, Store(home).checkpoint(translator), {"other": classifier, "data": DIGITS}, bench)
    model, scores = load_checkpoint(classifier, home, "cpu"), []
    for spec in (DIGITS, f"{DIGITS} | translate:{translator}"):
        data = open_data(spec, limits_of(home))
        told = model.predict([read_image(item.source) for item in data.items])
        right = [one["label"] == data.classes[item.label] for one, item in zip(told, data.items, strict=True)]
        scores.append(sum(right) / len(right))
    assert [row["accuracy"] for row in result.rows] == pytest.approx(scores, abs=1e-4)
    assert [row["images"] for row in result.rows] == ["as they are", "translated"] and scores[0] > 0.2
    assert result.facts == {"score": "accuracy", "before": result.rows[0]["accuracy"], "after": scores[1]}
    with pytest.raises(UsageError, match="serve"):
        use(tool, Store(home).checkpoint(classifier), {"other": classifier, "data": DIGITS}, bench)
