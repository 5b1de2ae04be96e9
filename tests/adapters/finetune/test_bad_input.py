"""What people get wrong, and the sentence they get."""

import json
from html import unescape

import numpy as np
import pytest
from PIL import Image

from adapters.finetune.full import Full
from studio import run
from studio.cli import main
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.runs.runner import execute, submit
from studio.ui import html
from studio.ui.actions import Actions

CONV = {"backbone": "studio/conv4", "image_size": 16}
QUICK = {"epochs": 1, "batch_size": 8, "max_steps": 1, "workers": 1}


def photos(root, **classes):
    draw = np.random.default_rng(0)
    for name, count in classes.items():
        for number in range(count):
            path = root / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    return f"folder:{root}"


def test_a_class_of_val_that_train_has_not_is_named(home, tmp_path):
    train, val = photos(tmp_path / "t", ants=6, bees=6), photos(tmp_path / "v", ants=2, wasps=2)
    with pytest.raises(UsageError, match=r"data\.val.*wasps.*Train has: ants, bees"):
        run({"method": "finetune/full", "model": CONV, "data": {"train": train, "val": val}, "train": QUICK}, home=home)


def test_a_checkpoint_for_other_classes_is_not_evaluated(home, tmp_path):
    one, two = photos(tmp_path / "one", ants=6, bees=6), photos(tmp_path / "two", cats=6, dogs=6)
    recipe = {"method": "finetune/full", "model": CONV, "data": {"train": one}, "train": QUICK}
    made = run(recipe, home=home)
    again = {**recipe, "model": {**CONV, "checkpoint": made.checkpoint}, "data": {"train": two}}
    with pytest.raises(UsageError, match=r"model\.checkpoint.*ants, bees; it does not know cats, dogs"):
        run({**again, "train": {**QUICK, "epochs": 0}}, home=home)
    moved = run(again, home=home)  # with training it starts from its backbone, with a new head
    assert moved.status == "finished"


@pytest.mark.parametrize("size", [30, 100])
def test_an_image_size_that_the_backbone_cannot_take_is_refused_with_the_nearest(home, tmp_path, size):
    recipe = {
        "method": "finetune/full",
        "model": {"backbone": "timm/vit_tiny_patch16_224?random", "image_size": size},
        "data": {"train": photos(tmp_path / "t", ants=6, bees=6)},
        "train": QUICK,
    }
    with pytest.raises(UsageError, match=r"model\.image_size.*patches are 16 x 16.*nearest"):
        run(recipe, home=home)


def test_a_class_of_one_image_cannot_be_cross_validated(home, tmp_path):
    recipe = {
        "method": "finetune/full",
        "model": CONV,
        "data": {"train": photos(tmp_path / "t", ants=6, bees=1)},
        "train": {**QUICK, "folds": 3},
    }
    with pytest.raises(UsageError, match="k-fold: a class has one image only"):
        run(recipe, home=home)


BAD = {
    "a class that only val has": ({"ants": 6, "bees": 6}, ["data.val=folder:{val}"], "wasps. Train has: ants, bees"),
    "one image in a fold": ({"ants": 6, "bees": 1}, ["train.folds=3"], "a class has one image only"),
    "an image size between patches": (
        {"ants": 6, "bees": 6},
        ["model.backbone=timm/vit_tiny_patch16_224?random", "model.image_size=30"],
        "nearest",
    ),
    "one class": ({"ants": 6}, [], "only the class 'ants'"),
    "a wrong regularizer": ({"ants": 6, "bees": 6}, ["params.regularizer=l2sp"], "params.regularizer"),
    "no source head": ({"ants": 6, "bees": 6}, ["params.regularizer=co-tuning"], "co-tuning"),
    "a checkpoint of other classes": (
        {"ants": 6, "wasps": 6},
        ["model.checkpoint={made}", "train.epochs=0"],
        "Its classes are ants, bees; it does not know wasps",
    ),
}


@pytest.fixture
def given(home, tmp_path, request):
    """Settings of the command line, and the sentence that they deserve."""
    counts, settings, sentence = BAD[request.param]
    places = {"val": photos(tmp_path / "v", ants=2, wasps=2).removeprefix("folder:")}
    if any("{made}" in text for text in settings):
        recipe = {"method": "finetune/full", "model": CONV, "data": {"train": photos(tmp_path / "m", ants=6, bees=6)}}
        places["made"] = run({**recipe, "train": QUICK}, home=home).checkpoint
    values = [f"data.train={photos(tmp_path / 't', **counts)}", "method=finetune/full", "model.backbone=studio/conv4"]
    values += ["model.image_size=16", "train.max_steps=1", *(text.format(**places) for text in settings)]
    return values, sentence


@pytest.mark.parametrize("given", BAD, indirect=True)
def test_the_command_line_says_it_and_returns_2(home, monkeypatch, capsys, given):
    values, sentence = given
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    code = main(["run", "small-data-cnn", *(part for value in values for part in ("--set", value))])
    said = capsys.readouterr().err
    assert code == 2 and sentence in said and "Traceback" not in said


@pytest.mark.parametrize("given", BAD, indirect=True)
def test_the_page_says_it_where_the_run_is_shown(home, given):
    values, sentence = given
    assert sentence in shown_on_the_page(home, values)


def test_a_loss_that_is_no_number_is_said_with_what_was_kept_by_command_line_and_page(
    home, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    values = [f"data.train={photos(tmp_path / 't', ants=10, bees=10)}", "method=finetune/full", "train.batch_size=8"]
    values += ["model.backbone=studio/conv4", "model.image_size=16", "train.epochs=3", "train.workers=1"]
    break_losses_after(monkeypatch, 3)
    code = main(["run", "small-data-cnn", "--json", *(part for value in values for part in ("--set", value))])
    said = capsys.readouterr()
    result = json.loads(said.out.splitlines()[-1])
    assert code == 1 and result["status"] == "failed" and "Traceback" not in said.err
    assert "not a number at step" in result["error"] and f"kept as checkpoint {result['checkpoint']}" in result["error"]
    assert main(["predict", result["checkpoint"], str(tmp_path / "t" / "ants" / "0.png")]) == 0
    break_losses_after(monkeypatch, 3)
    page = shown_on_the_page(home, values)
    assert "not a number at step" in page and "are kept as checkpoint" in page and "train.lr" in page


def break_losses_after(monkeypatch, steps, whole=Full.losses):
    calls = iter(range(10_000))

    def losses(self, batch, at):
        return {
            name: loss * (float("nan") if next(calls) >= steps else 1.0)
            for name, loss in whole(self, batch, at).items()
        }

    monkeypatch.setattr(Full, "losses", losses)


def shown_on_the_page(home, settings):
    """What the page shows of a run that the form asked for; or the sentence by which the form was refused."""
    actions, values = Actions(home), recipes.read_yaml(recipes.find_preset("small-data-cnn"))
    for setting in settings:
        recipes.put(values, *setting.split("=", 1))
    try:
        filed = submit(recipes.parse(values), actions.store)
    except UsageError as error:
        return str(error)
    execute(filed, home)
    return unescape(html.run_state(actions.view(filed.id), "en"))
