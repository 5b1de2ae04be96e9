"""A person in a hurry: what is done while the page still answers is neither dropped nor undone."""

import time

import pytest
from person import open_page, tab

from studio.core import recipe as recipes
from studio.store import Store
from studio.ui.form import Form
from studio.ui.pages import runs


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
        page.click("#train-preset input")
        page.locator(f"[role=option][aria-label^='{preset}  ·']").click()
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
