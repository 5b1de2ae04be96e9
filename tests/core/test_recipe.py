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
        ({"task": "align", "method": "align/tca", "train": {"epochs": 3}}, ["train.epochs", "3", "align/tca", "seed"]),
        ({"task": "align", "method": "align/table", "train": {"seeds": 3}}, ["train.seeds", "'seed'"]),
        ({"task": "align", "method": "align/tca", "train": {"mixup": 0.5}}, ["train.mixup", "for task", "classify"]),
        ({"task": "align", "method": "align/tca", "data": {"train": "x"}}, ["data.train", "Known: source, target"]),
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


DETECT = {"task": "detect", "method": "detect/fcos"}
ALIGN = {"task": "align", "method": "align/tca"}


@pytest.mark.parametrize(
    ("values", "key", "words"),
    [
        ({"train": {"mosaic": 0.5}}, "train.mosaic", "it is for task detect"),
        ({"eval": {"mirror": True}}, "eval.mirror", "it is for task detect"),
        ({"data": {"source": "folder:a"}}, "data.source", "it is for task align and detect and rank"),
        ({**DETECT, "train": {"mixup": 0.5}}, "train.mixup", "it is for task classify"),
        ({**DETECT, "train": {"folds": 5}}, "train.folds", "it is for task classify"),
        ({**DETECT, "eval": {"scale": [1.0]}}, "eval.scale", "Did you mean 'scales'?"),
        ({**DETECT, "train": {"augment": "rand"}}, "train.augment", "'crop' or 'flip'"),
        ({**DETECT, "eval": {"selection": "oracle"}}, "eval.selection", "source-val or last"),
        ({**ALIGN, "data": {"train": "folder:a"}}, "data.train", "it is for task classify"),
        ({**ALIGN, "train": {"mixup": 0.5}}, "train.mixup", "it is for task classify"),
        ({**ALIGN, "train": {"folds": 5}}, "train.folds", "it is for task classify"),
        ({**ALIGN, "eval": {"ways": 7}}, "eval.ways", "it is for task classify"),
        ({"task": "rank", "method": "rank/gap", "eval": {"shots": 5}}, "eval.shots", "it is for task classify"),
        ({"task": "clasify"}, "task", "Did you mean 'classify'?"),
    ],
)
def test_a_key_that_the_task_has_not_is_refused_when_the_recipe_is_read(values, key, words):
    with pytest.raises(UsageError) as refused:
        recipes.parse(values)
    assert str(refused.value).startswith(f"{key}: ") and words in str(refused.value)


def test_a_stored_recipe_of_before_may_hold_keys_of_other_tasks_and_no_others():
    old = {**ALIGN, "data": {"source": "folder:a", "train": None}, "eval": {"ways": 5, "mirror": False}}
    assert recipes.stored(old).data.source == "folder:a"
    with pytest.raises(UsageError, match="eval.wayz"):
        recipes.stored({**old, "eval": {"wayz": 5}})
