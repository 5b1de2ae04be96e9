"""A person in a hurry: what is done while the page still answers is neither dropped nor undone."""

import shutil
import threading
import time

import pytest
from person import by_class, give_zip, offers, open_page, pick, tab, two_classes, zip_of

from studio import run, save_version
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.store import Store
from studio.ui.actions import Actions
from studio.ui.form import Form
from studio.ui.pages import runs
from studio.ui.start_cards import CARDS


@pytest.fixture
def slow(monkeypatch):
    """Makes the answers that need this attribute take their time."""

    def slowed(owner, name, seconds=0.7):
        usual = getattr(owner, name)

        def later(*args, **options):
            time.sleep(seconds)
            return usual(*args, **options)

        monkeypatch.setattr(owner, name, later)

    return slowed


def test_a_preset_chosen_while_another_is_filled_in_is_the_one_that_is_filled_in(served, browser, slow):
    page = open_page(browser, served[1])
    tab(page, "Train")
    page.wait_for_selector("#recipe-form")
    slow(Form, "of_preset")
    for preset in ("compare-heads", "small-data-cnn"):
        choose_preset(page, preset)
    page.wait_for_selector("#recipe-form[data-preset='small-data-cnn']")
    assert page.input_value("#train-preset input").startswith("small-data-cnn")
    assert page.problems == []


def test_a_run_and_words_are_taken_while_the_list_of_runs_is_renewed(served, browser, slow):
    home, url = served
    filed = {name: Store(home).new_run(recipes.parse({"name": name, "data": {"train": "builtin:digits"}})).id
             for name in ("aa-hasty", "bb-hasty")}  # fmt: skip
    page = open_page(browser, url)
    tab(page, "Runs")
    page.wait_for_selector(f"#runs-table tr[data-run='{filed['aa-hasty']}']")
    slow(runs, "table_of_runs")
    page.click("#runs-refresh")
    page.click(f"#runs-table tr[data-run='{filed['aa-hasty']}'] button")
    page.fill("#runs-filter input", "aa-hasty")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#runs-table tr[data-run='{filed['bb-hasty']}']", state="detached")
    assert page.input_value("#runs-one input") == filed["aa-hasty"]
    page.wait_for_selector(f"#runs-state code:has-text('{filed['aa-hasty']}')")
    assert page.problems == []


@pytest.fixture
def held(monkeypatch):
    """Keeps what needs this from answering, of some words or of any, until it is let go."""
    go = threading.Event()

    def hold(owner, name, said=""):
        usual = getattr(owner, name)

        def waits(*args, **options):
            assert said not in str(args) or go.wait(60)
            return usual(*args, **options)

        monkeypatch.setattr(owner, name, waits)
        return go

    yield hold
    go.set()


def test_what_is_written_under_train_while_data_are_looked_at_stays(served, browser, held):
    page = open_page(browser, served[1])
    tab(page, "Train")
    page.wait_for_selector("#recipe-form")
    tab(page, "Data")
    looked = held(Actions, "examine")
    use_spec(page, "builtin:digits?per_class=9")
    tab(page, "Train")
    page.fill("#field-eval-shots input", "3")
    looked.set()
    page.wait_for_function("document.querySelector('#field-data-train input').value.endsWith('per_class=9')")
    assert page.input_value("#field-eval-shots input") == "3"
    assert page.problems == []


def test_what_is_given_while_other_data_are_looked_at_comes_after_them(served, browser, held, tmp_path):
    page = open_page(browser, served[1])
    tab(page, "Data")
    page.click("#data-zip-tab-button")
    files = two_classes(tmp_path, 5)
    shutil.unpack_archive(zip_of(tmp_path / "first.zip", by_class(files)), tmp_path / "first")
    looked = held(Actions, "examine", "folder:")
    page.click("#data-role label:nth-of-type(2)")
    use_spec(page, f"folder:{tmp_path / 'first'}")
    page.click("#data-role label:nth-of-type(3)")
    page.click("#data-zip-tab-button")
    give_zip(page, zip_of(tmp_path / "mine.zip", by_class({label: some[1:] for label, some in files.items()})))
    page.wait_for_selector("#data-zip :text('mine')")
    looked.set()
    page.wait_for_function("document.querySelector('#field-data-target input')?.value.startsWith('zip:')")
    assert "8 images in 2 classes" in page.inner_text("#report-card")
    assert page.input_value("#field-data-source input") == f"folder:{tmp_path / 'first'}"
    assert page.problems == []


@pytest.mark.parametrize(("card", "part"), [("few", "#data-zip-tab-button"), ("label", "#label-begin-button")])
def test_a_card_chosen_before_the_form_stands_opens_its_tab_with_its_preset(served, browser, held, card, part):
    drawn = held(Form, "of_preset", "'quickstart'")  # what it says at first
    page = open_page(browser, served[1])
    page.click(f"#start-{card}")
    drawn.set()
    page.wait_for_selector(f"{part}:visible")
    tab(page, "Train")
    page.wait_for_selector(f"#recipe-form[data-preset='{CARDS[card][0]}']")
    assert page.locator(".toast-body").count() == 0
    assert page.problems == []


def test_a_form_that_could_not_be_drawn_is_drawn_by_a_preset(served, browser, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(Form, "of_preset", fails)
        page = open_page(browser, served[1])
        page.wait_for_selector(".toast-body:has-text('gone meanwhile')")
    tab(page, "Train")
    choose_preset(page, "compare-heads")
    page.wait_for_selector("#recipe-form[data-preset='compare-heads']")


def use_spec(page, spec):
    page.click("#data-spec-tab-button")
    page.fill("#data-spec input", spec)
    page.keyboard.press("Enter")
    page.click("#data-use-spec")


def test_data_taken_while_a_preset_is_filled_in_are_in_its_form(served, browser, held):
    page = open_page(browser, served[1])
    tab(page, "Train")
    page.wait_for_selector("#recipe-form")
    filled = held(Form, "of_preset")
    choose_preset(page, "small-data-cnn")
    tab(page, "Data")
    use_spec(page, "builtin:digits?per_class=9")
    page.wait_for_selector("#report-card")
    filled.set()
    page.wait_for_function("document.querySelector('#field-data-train input').value.endsWith('per_class=9')")
    assert page.input_value("#train-preset input").startswith("small-data-cnn")
    assert page.problems == []


def choose_preset(page, name):
    page.click("#train-preset input")
    page.locator(f"[role=option][aria-label^='{name}  ·']").click()


def test_a_list_of_presets_that_is_opened_and_left_leaves_the_form_as_it_is(served, browser, monkeypatch):
    page = open_page(browser, served[1])
    tab(page, "Train")
    choose_preset(page, "compare-heads")
    page.wait_for_selector("#recipe-form[data-preset='compare-heads']")
    filled, usual = [], Form.of_preset
    monkeypatch.setattr(Form, "of_preset", lambda form, name, *sent: filled.append(name) or usual(form, name, *sent))
    page.fill("#field-eval-shots input", "3")
    page.click("#train-preset input")
    page.locator("#train-preset [role=option]").first.wait_for()
    page.keyboard.press("Tab")
    choose_preset(page, "small-data-cnn")
    page.wait_for_selector("#recipe-form[data-preset='small-data-cnn']")
    choose_preset(page, "quickstart")
    page.wait_for_selector("#recipe-form[data-preset='quickstart']")
    assert filled == ["small-data-cnn", "quickstart"]  # each choice once, and nothing for the list that was left
    assert page.problems == []


def test_a_form_that_could_not_be_filled_can_be_written_into(served, browser, monkeypatch):
    page = open_page(browser, served[1])
    tab(page, "Train")
    page.wait_for_selector("#recipe-form")
    with monkeypatch.context() as broken:
        broken.setattr(Form, "of_preset", fails)
        choose_preset(page, "compare-heads")
        page.wait_for_selector(".toast-body:has-text('gone meanwhile')")
    page.fill("#field-eval-shots input", "3")
    choose_preset(page, "small-data-cnn")
    page.wait_for_selector("#recipe-form[data-preset='small-data-cnn']")


def fails(*args):
    raise UsageError("The preset is gone meanwhile.")


def test_a_version_chosen_while_their_list_is_renewed_stays_chosen(served, browser, held):
    home, url = served
    for name, count in (("first", 1), ("second", 2)):
        save_version(name, f"builtin:digits?per_class={count}", home=home)
    page = open_page(browser, url)
    tab(page, "Data")
    page.click("#versions > button")
    page.wait_for_function("document.querySelector('#version-one input')?.value.startsWith('second')")
    page.click("#versions > button")
    save_version("third", "builtin:digits?per_class=3", home=home)
    listed = held(Actions, "versions")
    page.click("#versions > button")
    pick(page, "version-one", "first")
    listed.set()
    offers(page, "version-one", "third")  # the list is the new one
    assert page.input_value("#version-one input").startswith("first")
    assert page.problems == []


def test_a_checkpoint_chosen_while_their_list_is_renewed_stays_chosen(served, browser, held):
    home, url = served
    recipe = {
        "method": "fewshot/prototypes", "model": {"backbone": "studio/conv4", "image_size": 16},
        "data": {"train": "builtin:digits?per_class=4"}, "eval": {"ways": 3, "shots": 1, "queries": 1, "episodes": 2},
    }  # fmt: skip
    first, second = (
        run({**recipe, "method": f"fewshot/{head}"}, home=home).checkpoint for head in ("ridge", "prototypes")
    )
    page = open_page(browser, url)
    tab(page, "Try it")
    page.wait_for_function("name => document.querySelector('#try-checkpoint input')?.value.endsWith(name)", arg=second)
    tab(page, "Start")
    Store(home).tag(first, "renewed")
    listed = held(Actions, "checkpoints")
    tab(page, "Try it")
    pick(page, "try-checkpoint", first)
    listed.set()
    offers(page, "try-checkpoint", "renewed")  # the list is the new one
    assert page.input_value("#try-checkpoint input").endswith(first)
    assert page.problems == []


@pytest.mark.parametrize("width", [1280, 390])  # where it is narrow the last tabs lie in a menu
def test_tabs_are_made_while_nobody_waits_and_a_card_opens_its_own(served, browser, width):
    page = open_page(browser, served[1], width)
    for part in ("#data-use-boxes", "#label-begin-button", "#recipe-form", "#runs-filter", "#try-photo", "#learn-page"):
        page.wait_for_selector(part, state="attached")  # no tab was clicked
    for card, part in (("detect", "#data-use-boxes"), ("demo", "#recipe-form"), ("label", "#label-begin-button")):
        page.evaluate("studioTab('start')")
        page.click(f"#start-{card}")
        page.wait_for_selector(f"{part}:visible")
    assert page.problems == []
