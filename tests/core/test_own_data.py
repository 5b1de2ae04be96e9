"""What a preset states for its built-in data holds for those alone, by whatever way other data are given."""

import shlex
import shutil

import pytest

from studio import run
from studio.core import recipe as recipes
from studio.core.events import read_events
from studio.runs.runner import submit
from studio.store import Store

OWN = {
    "quickstart": {"data.train": "folder:photos"},
    "compare-heads": {"data.train": "zip:photos.zip"},
    "pacs-shallow": {"data.source": "folder:art", "data.target": "folder:sketch"},
    "align-compare": {"data.target": "folder:photos"},
    "align-table": {"params.domains": "a=folder:art; b=folder:sketch"},
    "rank-backbones": {"data.train": "hf:me/photos"},
    "rank-gap": {"data.source": "builtin:digits, folder:drawings"},
    "detect-quick": {"data.train": "voc:photos"},
    "detr-vs-cnn": {"data.train": "coco:a.json?images=photos"},
    "scenes-clear-to-fog": {"data.source": "yolo:data.yaml"},
    "detect-few-shot": {"params.base": "voc:photos"},
    "transfer-regularizers": {"data.test": "folder:photos"},
    "omniglot-protonet": {"eval.episodes_file": "episodes.json"},
}


@pytest.mark.parametrize("preset", sorted(OWN))
def test_own_data_get_the_backbones_own_size_and_a_note_says_so(preset):
    before, after = recipes.load(preset), recipes.load(preset, OWN[preset])
    assert before.model.image_size is not None and not before.notes
    assert after.model.image_size is None
    assert f"model.image_size: {before.model.image_size}" in " ".join(after.notes)
    assert recipes.load(preset, [f"{key}={value}" for key, value in OWN[preset].items()]) == after


@pytest.mark.parametrize("order", [1, -1])
def test_a_size_given_with_the_data_stays(order):
    given = dict([("model.image_size", 64), ("data.train", "folder:photos"), ("eval.ways", 3)][::order])
    recipe = recipes.load("quickstart", given)
    assert (recipe.model.image_size, recipe.eval.ways, recipe.notes) == (64, 3, ())


@pytest.mark.parametrize(
    ("preset", "given"),
    [
        ("quickstart", {"data.train": "builtin:glyphs?domain=serif&classes=10"}),
        ("quickstart", {"data.val": None}),
        ("sim10k", {"data.source": "voc:elsewhere/sim10k"}),
    ],
)
def test_built_in_data_and_folders_that_the_preset_names_itself_keep_the_size(preset, given):
    assert recipes.load(preset, given).model.image_size == recipes.load(preset).model.image_size


def test_a_run_says_what_was_left_out_of_its_preset(home):
    filed = submit(recipes.load("quickstart", {"data.train": "folder:photos"}), Store(home))
    notes = [event["message"] for event in read_events(filed.events_path)[0] if event["kind"] == "note"]
    assert any("model.image_size: 96 is for the preset's built-in data" in note for note in notes)
    assert "image_size" not in filed.recipe_path.read_text()


def test_the_page_gives_own_data_the_same_size_and_its_command_line_says_so():
    from studio.ui import forms
    from studio.ui.command_line import command_line
    from studio.ui.pages.data import with_data

    form = forms.screen_of(recipes.read_yaml(recipes.find_preset("quickstart")), "quickstart")
    report = {"truth": "labels", "classes": {"cat": 9, "dog": 9}}
    screen = with_data(form, "folder:photos", report)
    assert screen.texts.get("model.image_size", "") == ""
    screen.texts["model.image_size"] = "96"
    typed = forms.values_of(screen)
    words = shlex.split(command_line(recipes.parse(typed)))
    again = recipes.load("quickstart", [word for word in words if "=" in word])
    assert again.model_dump(exclude={"about"}) == recipes.parse(typed).model_dump(exclude={"about"})
    assert again.model.image_size == 96


def test_quickstart_on_own_photos_has_the_accuracy_of_fewshot_photos(home, shared_data, tmp_path):
    for folder in sorted((shared_data / "pacs_mini" / "sketch").iterdir())[:6]:
        for photo in sorted(folder.iterdir())[:9]:
            target = tmp_path / "photos" / folder.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(photo, target)
    own = {"data.train": f"folder:{tmp_path / 'photos'}", "eval.shots": 1, "eval.episodes": 50, "device": "cpu"}
    first, second = (run(preset, own, home=home).metrics for preset in ("quickstart", "fewshot-photos"))
    assert 0.2 < first["accuracy"] < 1.0
    assert first["accuracy"] == second["accuracy"]


def test_a_detector_trains_for_a_time_on_own_data_and_for_its_epochs_where_these_are_given():
    own = {"data.train": "voc:photos"}
    before, after = recipes.load("detect-quick"), recipes.load("detect-quick", own)
    assert (before.train.epochs, before.train.minutes) == (16, None)
    assert after.train.minutes == 15 and "train.epochs: 16 is for the preset's built-in data" in " ".join(after.notes)
    for given in ({"train.epochs": 3}, {"train.minutes": 2.0}, {"train.max_steps": 9}):
        recipe = recipes.load("detect-quick", own | given)
        assert recipe.train.minutes == given.get("train.minutes")
    assert recipes.load("small-data-cnn", {"data.train": "folder:photos"}).train.minutes is None
