"""Training images in another look: what a recipe may ask for, and that boxes, masks and labels keep their places."""

import numpy as np
import pytest
import torch

from adapters.detect.data.batches import BoxBatches
from adapters.detect.task import DetectTrain
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.sections import AugmentedTrain
from studio.data.boxes import Boxes
from studio.data.looks.restyle import Restyle
from studio.data.preprocess import Preprocess
from studio.engine.batches import TrainBatches

RED = torch.tensor([255, 0, 0], dtype=torch.uint8).view(3, 1, 1).expand(3, 8, 8)


def recipe(method: str = "finetune/full", data: dict | None = None, **train: object) -> recipes.Recipe:
    data = data or {"train": "builtin:digits"}
    return recipes.parse(
        {"task": "align" if "source" in data else "classify", "method": method, "data": data, "train": train}
    )


def test_a_look_of_others_is_that_of_the_target_where_there_is_one() -> None:
    data = {"source": "folder:a", "target": "folder:b"}
    assert recipes.reference_spec(recipe("align/dann", data, restyle="fda")) == "folder:b"
    named = recipe("align/dann", data, restyle="fda", restyle_like="folder:c")
    assert recipes.reference_spec(named) == "folder:c"


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        ({"restyle": "fda"}, "none are named"),
        ({"restyle_like": "folder:dusk"}, "not looked at while"),
        ({"restyle": "fog", "restyle_like": "folder:dusk"}, "which is rendered"),
    ],
)
def test_a_look_that_nothing_shows_is_refused_when_the_recipe_is_read(train: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        recipe(**train)


def test_methods_that_train_on_no_image_take_no_look() -> None:
    with pytest.raises(UsageError, match="trains on none"):
        recipe("fewshot/prototypes", restyle="night")


def test_restyled_images_have_the_colours_of_the_others_and_their_own_labels() -> None:
    pixels, labels = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), np.uint8), np.arange(6)
    preprocess = Preprocess(8, mean=(0, 0, 0), std=(1, 1, 1))
    settings = AugmentedTrain(augment="none", batch_size=6)
    plain, restyled = (
        TrainBatches(pixels, labels, 6, preprocess, settings, restyle=restyle).batch(0)
        for restyle in (None, Restyle("mean-variance", 1.0, [RED]))
    )
    assert torch.equal(plain.labels, restyled.labels)
    assert restyled.images.mean((0, 2, 3)).tolist() == [1.0, 0.0, 0.0]


def test_boxes_keep_their_places() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), np.uint8)
    boxes = [Boxes.of([[4, 4, 20, 24]], [0]) for _ in range(2)]
    settings = DetectTrain(augment="none", batch_size=2)
    plain, restyled = (
        BoxBatches(pixels, boxes, Preprocess(32), settings, restyle=restyle).batch(0)
        for restyle in (None, Restyle("histogram", 1.0, [RED]))
    )
    assert torch.equal(plain.boxes, restyled.boxes)
    assert not torch.equal(plain.images, restyled.images)
