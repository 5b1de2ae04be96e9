"""The recipe: one typed model behind the preset, --set, the form and Python."""

import pytest

from studio.core import recipe as recipes
from studio.core.errors import UsageError


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"train": {"epoch": 3}}, ["train.epoch", "unknown key", "'epochs'"]),
        ({"methd": "x"}, ["methd", "'method'"]),
        ({"train": {"epochs": "many"}}, ["train.epochs", "'many'", "integer"]),
        ({"train": {"lr": -1}}, ["train.lr", "-1", "greater than 0"]),
        ({"method": "fewshot/prototype"}, ["'fewshot/prototypes'"]),
        ({"method": "finetune/linear-probe", "params": {"cc": 1}}, ["params.cc", "unknown key", "'c'"]),
        ({"method": "finetune/linear-probe", "params": {"c": 0}}, ["params.c", "0"]),
        ({"task": "align", "method": "finetune/full"}, ["task", "align", "classify"]),
        ({"device": "gpu"}, ["device", "'gpu'"]),
        ({"eval": {"ways": 1}}, ["eval.ways", "2"]),
    ],
)
def test_a_wrong_recipe_is_refused_naming_field_value_and_remedy(values, words):
    with pytest.raises(UsageError) as refused:
        recipes.parse(values)
    for word in words:
        assert word in str(refused.value)
    assert refused.value.exit_code == 2


def test_every_fault_is_told_at_once():
    with pytest.raises(UsageError) as refused:
        recipes.parse({"train": {"epochs": "x", "lr": "y"}})
    assert "train.epochs" in str(refused.value) and "train.lr" in str(refused.value)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("train.lr", "1e-3", 0.001),
        ("train.epochs", "3", 3),
        ("train.max_steps", "null", None),
        ("model.image_size", "96", 96),
        ("model.backbone", "timm/resnet18?random", "timm/resnet18?random"),
        ("name", "17", "17"),
        ("data.val", "null", None),
        ("data.train", "folder:/a: b", "folder:/a: b"),
        ("params.c", "0.5", 0.5),
        ("params.freeze_statistics", "false", False),
    ],
)
def test_set_reads_a_text_by_the_type_of_its_field(key, text, value):
    values = {"method": "finetune/full" if "freeze" in key else "finetune/linear-probe"}
    recipes.put(values, key, text)
    *parents, last = key.split(".")
    for parent in parents:
        values = values[parent]
    assert values[last] == value and type(values[last]) is type(value)


def test_yaml_holds_only_what_differs_and_reads_back_the_same(tmp_path):
    recipe = recipes.parse({"method": "finetune/full", "train": {"epochs": 3}, "data": {"train": "builtin:digits"}})
    text = recipes.to_yaml(recipe)
    assert "batch_size" not in text
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert recipes.load(str(file)) == recipe


def test_yaml_never_makes_objects(tmp_path):
    file = tmp_path / "evil.yaml"
    file.write_text("name: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(UsageError):
        recipes.load(str(file))


def test_the_nearest_preset_is_named():
    with pytest.raises(UsageError, match="'quickstart'"):
        recipes.load("quikstart")


@pytest.mark.parametrize("name", sorted(recipes.presets()))
def test_every_shipped_preset_is_a_valid_recipe_with_one_line_about_it(name):
    recipe = recipes.load(name)
    assert recipe.about and "\n" not in recipe.about


@pytest.mark.parametrize("key", ["train.mosaic", "eval.mirror", "eval.ensemble"])
def test_keys_of_detection_are_refused_for_other_tasks(key):
    section, name = key.split(".")
    values = {section: {name: ["a"] if name == "ensemble" else 1}}
    with pytest.raises(UsageError, match=f"{key}: this is for task detect"):
        recipes.parse(values)
    recipes.parse({**values, "task": "detect", "method": "detect/fcos"})
