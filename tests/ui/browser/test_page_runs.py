"""Runs on the page: sorted, opened, compared, taken to a paper, used again."""

from pathlib import Path

import pytest
from person import open_page, tab

from studio import run
from studio.core import recipe as recipes
from studio.store import Store


def test_the_recipe_of_a_run_fills_the_whole_form(served, browser):
    home, url = served
    recipe = {
        "task": "detect", "method": "detect/fcos", "data": {"train": "builtin:scenes?images=6"},
        "train": {"epochs": 7, "multi_scale": 0.5}, "params": {"width": 64}, "eval": {"scales": [1.0, 1.5]},
    }  # fmt: skip
    run = Store(home).new_run(recipes.parse(recipe)).id
    page = open_page(browser, url)
    tab(page, "Runs")
    page.click("#runs-one input")
    page.get_by_role("option", name=run).click()
    page.click("#runs-reuse")
    page.wait_for_function("document.querySelector('#train-method input')?.value.startsWith('detect/fcos')")
    shown = {"field-train-epochs": "7", "field-train-multi_scale": "0.5", "param-width": "64"}
    for name, text in {**shown, "field-eval-scales": "1.0, 1.5"}.items():
        assert page.input_value(f"[id='{name}'] input") == text
    assert page.input_value("#train-preset input") == ""


def test_a_click_on_a_head_sorts_the_runs_and_one_on_a_name_opens_its_run(served, browser):
    home, url = served
    runs = {name: Store(home).new_run(recipes.parse({"name": name, "data": {"train": "builtin:digits"}})).id
            for name in ("00-first", "zz-last")}  # fmt: skip
    page = open_page(browser, url)
    tab(page, "Runs")
    page.wait_for_selector(f"#runs-table tr[data-run='{runs['zz-last']}']")
    names = page.locator("#runs-table tbody td:first-child")
    for top, bottom, sorted_as in (("00-first", "zz-last", "ascending"), ("zz-last", "00-first", "descending")):
        page.click("#runs-table th:first-child button")
        assert names.first.inner_text() == top and names.last.inner_text() == bottom
        assert page.get_attribute("#runs-table th:first-child", "aria-sort") == sorted_as
    page.click("#runs-table tbody tr:first-child button")
    page.wait_for_function("run => document.querySelector('#runs-one input').value === run", arg=runs["zz-last"])
    page.click("#runs-refresh")  # a new list is sorted as the last one was
    page.wait_for_function("document.querySelector('#runs-table tbody td').innerText === 'zz-last'")
    assert not page.problems


@pytest.mark.slow
def test_a_researcher_compares_three_heads_and_takes_the_table_to_a_paper(served, browser):
    home, url = served
    recipe = {
        "model": {"backbone": "studio/conv4", "image_size": 16}, "data": {"train": "builtin:digits?per_class=8"},
        "eval": {"ways": 3, "shots": 1, "queries": 2, "episodes": 20},
    }  # fmt: skip
    heads = ("prototypes", "ridge", "simpleshot")
    runs = [run({**recipe, "method": f"fewshot/{head}"}, home=home).run for head in heads]
    page = open_page(browser, url)
    tab(page, "Runs")
    for one in runs:
        page.check(f"#runs-table tr[data-run='{one}'] input")
    page.set_viewport_size({"width": 1024, "height": 900})
    cut = page.locator("#runs-table .wide").evaluate("table => table.scrollWidth - table.clientWidth")
    assert cut <= 0  # all columns are there
    page.wait_for_function("document.querySelectorAll('#runs-numbers tr').length === 4")
    assert [page.locator("#runs-numbers tr").nth(row).inner_text().split()[0] for row in (3, 2, 1)] == list(heads)
    assert page.inner_text("#runs-difference tr:nth-child(2) td:first-child") == "method"
    with page.expect_download() as kept:
        page.click("#runs-keep-latex")
    assert kept.value.suggested_filename == "comparison.tex"
    latex = Path(kept.value.path()).read_text(encoding="utf-8")
    assert all(head in latex for head in heads) and r"\toprule" in latex and "0.000" not in latex
    page.click(f"#runs-table tr[data-run='{runs[1]}'] button")
    page.wait_for_selector(f".lineage .chosen:has-text('{runs[1]}')")
    page.click("#runs-reuse")  # cloned into the form, whose command line then says the same
    page.wait_for_function("document.querySelector('#train-method input')?.value.startsWith('fewshot/ridge')")
    page.wait_for_selector("#train-cost:has-text('known from 1 earlier run')")
    page.wait_for_selector("#train-command :text('fewshot/ridge')")
    assert page.problems == []
