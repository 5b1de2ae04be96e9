"""The form: what a recipe looks like in it, what its texts say, and that no field is out of reach."""

import json
import shlex
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import UsageError
from studio.ui import form_html, forms
from studio.ui.command_line import command_line, python_call
from studio.ui.transfer_question import question


class Inputs(HTMLParser):
    """The inputs of a drawn form by key, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.by_key: dict[str, dict[str, str | None]] = {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        if "data-key" in facts:
            self.by_key[facts["data-key"]] = facts


def screen_of_preset(name):
    return forms.screen_of(recipes.read_yaml(recipes.find_preset(name)), name)


@pytest.mark.parametrize("name", sorted(recipes.presets()))
def test_a_preset_comes_out_of_the_form_as_it_went_in(name):
    screen = forms.read_screen(json.dumps(vars(screen_of_preset(name))))
    recipe = recipes.parse(forms.values_of(screen))
    stated = recipes.load(name)
    assert recipe.model_dump(exclude={"params"}) == stated.model_dump(exclude={"params"})
    assert recipe.method_params() == stated.method_params()
    forms.check_filed(screen, recipe)


@pytest.mark.parametrize("name", sorted(recipes.presets()))
def test_every_field_of_a_preset_and_every_parameter_can_be_edited(name):
    screen = screen_of_preset(name)
    inputs = Inputs(form_html.draw(screen, "en")).by_key
    assert {f"params.{key}" for key in registry.get(screen.method).Params.model_fields} <= inputs.keys()
    assert set(screen.texts) <= inputs.keys()  # what a preset says is never hidden
    assert not any({"disabled", "readonly"} & facts.keys() for facts in inputs.values())


@given(st.integers(0, 10**12))
def test_whole_numbers_mean_themselves(number):
    assert forms.from_text(int, f" {number} ") == number == forms.from_text(int | None, f"0{number}")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_shown_so_that_it_is_read_again_to_the_last_bit(number):
    assert forms.from_text(float, forms.to_text(number)) == number


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_a_text_stays_as_it_is_but_for_blanks_around_it(text):
    assert forms.from_text(str, text) == text.strip()


@pytest.mark.parametrize("text", ["1:30", "0x10", "1,5", "ten", "", "12 13"])
def test_what_is_no_number_is_refused_with_its_field(text):
    screen = screen_of_preset("detect-quick")
    screen.texts["train.epochs"] = text
    with pytest.raises(UsageError, match=r"train\.epochs"):
        recipes.parse(forms.values_of(screen))


@given(st.lists(st.floats(0.25, 4), min_size=1, max_size=8))
def test_lists_are_written_with_commas(scales):
    kind = forms.field_of("eval.scales", "detect/fcos").annotation
    assert forms.from_text(kind, forms.to_text(scales)) == scales


def test_mappings_are_written_as_yaml():
    kind = forms.field_of("params.settings", "align/table").annotation
    settings = {"align/tca": {"components": 5, "kernel": "rbf"}}
    assert forms.from_text(kind, forms.to_text(settings)) == settings
    assert forms.from_text(kind, "") == {} == forms.from_text(kind, forms.to_text({}))


def test_a_recipe_that_is_not_what_the_form_shows_is_refused():
    screen = screen_of_preset("quickstart")
    recipe = recipes.parse(forms.values_of(screen))
    screen.texts["eval.shots"] = "1"
    with pytest.raises(UsageError, match=r"eval\.shots: the form shows '1', and 5 would run"):
        forms.check_filed(screen, recipe)


@pytest.mark.parametrize("sent", ["", "{}", "[]", "null", '{"method": 3}', '{"method": "fewshot/prototypes"}'])
def test_what_is_no_form_is_refused(sent):
    with pytest.raises(UsageError):
        forms.read_screen(sent)


def test_a_field_that_the_method_does_not_have_is_refused():
    for key in ("params.nothing", "train.nothing", "nothing"):
        with pytest.raises(UsageError, match=key):
            forms.values_of(forms.Screen("fewshot/prototypes", texts={key: "1"}))


def test_what_adapts_shows_both_domains_and_no_training_data():
    def shown(method):
        return set(forms.keys(forms.Screen(method))[0])

    assert {"data.source", "data.target", "train.epochs"} <= shown("detect/mean-teacher")
    assert "data.train" not in shown("detect/mean-teacher")
    assert "data.train" in shown("detect/fcos") & shown("detect/compare")
    assert "data.source" not in shown("detect/fcos")


def test_a_value_that_would_be_hidden_is_shown_once_it_says_something():
    assert "data.val" in forms.keys(forms.Screen("fewshot/prototypes"))[1]
    assert "data.source" in forms.keys(forms.Screen("detect/fcos", texts={"data.source": "folder:a"}))[0]


def test_texts_from_outside_are_only_text():
    screen = forms.Screen("fewshot/prototypes", texts={"data.train": "folder:'><script>x</script>", "about": "<b>"})
    drawn = form_html.draw(screen, "en")
    assert "<script" not in drawn and "<b>" not in drawn
    assert Inputs(drawn).by_key["data.train"]["value"] == "folder:'><script>x</script>"


def test_what_is_typed_is_set_as_code_in_the_help_of_a_field():
    for language in ("en", "zh"):
        drawn = form_html.draw(forms.Screen("align/coral"), language)
        assert "`" not in drawn and "<code>dim: [10, 20, 30]</code>" in drawn


@pytest.mark.parametrize("preset", sorted(recipes.presets()))
@pytest.mark.parametrize("changes", [{}, {"name": "my run"}, {"data.train": "folder:/my photos/and 'more'"}], ids=str)
def test_the_command_line_and_the_python_of_the_page_run_what_the_form_says(preset, changes):
    if "data.train" in changes and not getattr(recipes.load(preset).data, "train", None):
        pytest.skip("it learns from domains")
    recipe = recipes.load(preset, changes)
    _, _, command, name, *words = shlex.split(command_line(recipe, preset))
    assert command == "run" and name == preset
    called = []
    call = (
        python_call(recipe, preset).removeprefix("from studio import run\n\n").removesuffix("\nprint(result.metrics)")
    )
    exec(call, {"run": lambda *arguments: called.extend(arguments)})
    for again in (recipes.load(name, words[1::2]), recipes.load(*called)):
        assert again.model_dump(exclude={"about"}) == recipe.model_dump(exclude={"about"})


def test_a_method_without_a_preset_has_a_command_line_too():
    recipe = recipes.parse({"task": "detect", "method": "detect/yolos", "data": {"train": "voc:/photos"}})
    _, _, _, name, *words = shlex.split(command_line(recipe, "quickstart"))
    assert recipes.load(name, words[1::2]).model_dump(exclude={"about"}) == recipe.model_dump(exclude={"about"})


@pytest.mark.parametrize(
    ("preset", "changes", "method", "data"),
    [
        ("align-compare", {}, "rank/gap", {"source": "builtin:glyphs?domain=sans-bold&classes=10&per_class=20"}),
        ("small-data-cnn", {"data.train": "folder:/mine"}, "rank/backbones", {"train": "folder:/mine"}),
    ],
)
def test_whether_to_transfer_is_asked_of_the_data_in_the_form(preset, changes, method, data):
    screen = forms.screen_of(recipes.load(preset, changes).model_dump(exclude_defaults=True), preset)
    asked = recipes.parse(question(screen))
    assert asked.method == method and data.items() <= asked.data.model_dump().items()


def test_whether_to_transfer_is_not_asked_of_boxes():
    with pytest.raises(UsageError, match="task detect, with data.train"):
        question(forms.screen_of(recipes.load("detect-quick").model_dump(exclude_defaults=True)))
