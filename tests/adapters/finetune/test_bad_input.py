"""What people get wrong, and the sentence they get."""

import numpy as np
import pytest
from PIL import Image

from studio import run
from studio.cli import main
from studio.core.errors import UsageError

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
    with pytest.raises(UsageError, match=r"model\.checkpoint.*ants.*cats"):
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


@pytest.mark.parametrize(
    ("counts", "settings", "sentence"),
    [
        ({"ants": 6, "bees": 6}, ["data.val=folder:{val}"], "wasps"),
        ({"ants": 6, "bees": 1}, ["train.folds=3"], "a class has one image only"),
        ({"ants": 6, "bees": 6}, ["model.backbone=timm/vit_tiny_patch16_224?random", "model.image_size=30"], "nearest"),
        ({"ants": 6}, [], "class"),
        ({"ants": 6, "bees": 6}, ["params.regularizer=l2sp"], "params.regularizer"),
        ({"ants": 6, "bees": 6}, ["params.regularizer=co-tuning"], "co-tuning"),
    ],
)
def test_the_command_line_says_it_and_returns_2(home, tmp_path, monkeypatch, capsys, counts, settings, sentence):
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    train, val = photos(tmp_path / "t", **counts), photos(tmp_path / "v", ants=2, wasps=2)
    given = [f"data.train={train}", "model.backbone=studio/conv4", "model.image_size=16", "train.max_steps=1"]
    given += [text.format(val=val.removeprefix("folder:")) for text in settings]
    code = main(["run", "small-data-cnn", "--set", "method=finetune/full", *(f for g in given for f in ("--set", g))])
    said = capsys.readouterr().err
    assert code == 2 and sentence in said and "Traceback" not in said
