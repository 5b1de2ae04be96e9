"""A stored translator as a step of data: `folder:x | translate:CHECKPOINT`."""

import numpy as np
import pytest
import torch
from PIL import Image

from adapters.translate.pix2pix import Pix2Pix
from studio.core.errors import DataError
from studio.core.events import EventWriter
from studio.core.faces import LearnerContext
from studio.core.recipe import Recipe
from studio.data import open_data, read_image
from studio.data.files.limits import limits_of
from studio.data.preprocess import Preprocess
from studio.data.specs import parse
from studio.store import Manifest, Store

SCENES = "builtin:scenes?images=3&size=64&classes=2"
SMALL = {"width": 4, "discriminator_width": 4, "generator": "resnet"}
HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def translator(home) -> str:
    """The id of a stored translator, untrained."""
    learner = Pix2Pix(Pix2Pix.Params(**SMALL))
    learner.setup(LearnerContext(None, [], 0, 32, False))
    manifest = Manifest(
        face="Learner", task="translate", method="translate/pix2pix", params=learner.params.model_dump(),
        preprocess=Preprocess(32, 1.0, "bicubic", HALF, HALF).to_dict(), recipe={"method": "translate/pix2pix"},
    )  # fmt: skip
    return Store(home).put(manifest, learner.state()).id


def test_images_are_translated_once_and_keep_their_size_and_truth(home, translator, monkeypatch):
    spec = f"{SCENES}&truth=masks | translate:{translator}"
    before, after = open_data(f"{SCENES}&truth=masks"), open_data(spec, limits_of(home))
    assert after.spec == spec and after.classes == before.classes and translator in after.remarks[0]
    assert np.array_equal(before.items[1].mask.read(), after.items[1].mask.read())
    image = read_image(after.items[1].source)
    assert image.size == (64, 64) and image.tobytes() != read_image(before.items[1].source).tobytes()
    digests = [item.source.digest() for item in after.items]
    assert len(set(digests)) == 3 and set(digests).isdisjoint(item.source.digest() for item in before.items)

    monkeypatch.setattr(torch.nn.Module, "__call__", None)  # from here on nothing is computed
    again = open_data(spec, limits_of(home))
    assert again.items[1].source.digest() == digests[1]
    assert read_image(again.items[1].source).tobytes() == image.tobytes()


def test_what_the_last_run_left_will_do_and_the_data_say_which_it_was(home, translator):
    run = Store(home).new_run(Recipe(name="a translator"))
    with EventWriter(run.events_path) as events:
        events.emit("checkpoint", checkpoint=translator, role="final")
    last, named = (open_data(f"{SCENES} | translate:{name}", limits_of(home)) for name in ("last", translator))
    assert last.items[0].source.digest() == named.items[0].source.digest() and translator in last.remarks[0]


def test_another_way_of_looking_is_another_image(home, translator):
    plain, other = (
        open_data(f"{SCENES} | translate:{translator}{options}", limits_of(home)).items[0].source
        for options in ("", "?short_side=48")
    )
    assert plain.digest() != other.digest() and read_image(plain).tobytes() != read_image(other).tobytes()


def test_a_bar_binds_tighter_than_a_comma():
    one, two = parse("folder:a | translate:x?direction=backward, folder:b")
    assert (one.rest, one.steps[0].rest, one.steps[0].options) == ("a", "x", {"direction": "backward"})
    assert two.rest == "b" and two.steps == ()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("translate:nobody", "nobody"),
        ("translate:", "Expected translate:CHECKPOINT"),
        ("rotate:90", "Expected translate:CHECKPOINT"),
    ],
)
def test_a_step_that_is_none_is_refused(home, step, message):
    with pytest.raises(DataError, match=message):
        open_data(f"{SCENES} | {step}", limits_of(home))


def test_a_step_takes_no_other_ways_and_no_checkpoint_that_makes_no_images(home, translator):
    with pytest.raises(DataError, match="short_sid"):
        open_data(f"{SCENES} | translate:{translator}?short_sid=48", limits_of(home))
    other = Manifest(face="EpisodeHead", task="classify", method="fewshot/prototypes")
    name = Store(home).put(other, {"means": torch.zeros(1)}).id
    with pytest.raises(DataError, match="makes no images"):
        open_data(f"{SCENES} | translate:{name}", limits_of(home))


def test_a_recipe_trains_on_translated_images(home, translator):
    from studio.core import recipe as recipes
    from studio.runs.executors import run_inline
    from studio.runs.runner import submit

    digits = f"builtin:digits?per_class=4 | translate:{translator}"
    values = {
        "method": "fewshot/prototypes",
        "data": {"train": digits},
        "eval": {"episodes": 2, "shots": 1, "queries": 1},
    }
    backbone = {"backbone": "timm/test_efficientnet?random", "image_size": 32}
    result = run_inline(submit(recipes.parse({**values, "model": backbone, "device": "cpu"}), Store(home)), home)
    assert result.status == "finished", result.error
    assert isinstance(read_image(open_data(digits, limits_of(home)).items[0].source), Image.Image)
