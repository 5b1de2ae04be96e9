"""The page in two languages, on a phone, and for those who see or use it otherwise."""

import re
from pathlib import Path

import pytest
from person import open_page, open_phone, phone_tab, tab, wait_for_status, write
from PIL import Image

from studio.label.desk import start
from studio.store.labelling import projects
from studio.ui import build_app
from studio.ui.topics import TOPICS, methods_of


@pytest.mark.parametrize(("locale", "word"), [("zh-CN", "开始"), ("zh-TW", "开始"), ("en-US", "Start")])
def test_the_page_speaks_the_visitors_language(served, browser, locale, word):
    page = open_page(browser, served[1], locale=locale)
    page.wait_for_selector(f"role=tab[name='{word}']")
    if locale.startswith("zh"):
        page.wait_for_selector("text=你想做什么")
        assert "What would you like" not in page.inner_text("body")
        tab(page, "训练")
        page.get_by_text("方法自身的参数").click()
        page.wait_for_selector("text=查询到类别均值的距离")


@pytest.mark.slow
def test_a_demo_is_run_from_the_card_to_its_result_in_chinese(served, browser):
    page = open_page(browser, served[1], locale="zh-CN")
    page.click("#start-demo")
    page.wait_for_selector("#train-start:visible")
    page.fill("#field-eval-episodes input", "20", force=True)
    page.click("#train-start")
    wait_for_status(page, "finished")
    assert page.inner_text("#run-status") == "已完成"
    said = page.inner_text("#run-state").replace(page.inner_text("#run-state code"), "")
    assert not re.findall(r"[A-Za-z]{4,} [A-Za-z]{4,}", said)  # no English sentence
    assert page.problems == []


def test_a_topic_says_when_it_works_and_leads_to_its_methods(served, browser):
    page = open_page(browser, served[1])
    tab(page, "Learn")
    page.wait_for_selector("#learn-page h2")
    page.click("#learn-topic input")
    page.locator("#learn-topic [role=option]").nth(list(TOPICS).index("transport")).click()
    page.wait_for_selector("#learn-page h2:has-text('Optimal transport')")
    page.wait_for_selector("#learn-page h3:has-text('When it fails')")
    page.wait_for_function("document.querySelector('#learn-method input').value.startsWith('align/ot  ')")
    page.click("#learn-method input")
    assert page.locator("#learn-method [role=option]").count() == 3
    page.locator("#learn-method [role=option]").nth(1).click()
    page.wait_for_selector("#learn-page h2:has-text('Joint distribution')")
    assert page.problems == []


def test_on_a_phone_nothing_sticks_out_to_the_side(served, browser):
    page = open_page(browser, served[1], width=390, height=844)
    parts = {
        "Start": "#start-demo", "Data": "#data-use-boxes", "Label": "#label-begin-button", "Train": "#recipe-form",
        "Runs": "#runs-filter", "Try it": "#try-photo", "Learn": "#learn-page h2",
    }  # fmt: skip
    for name, part in parts.items():
        phone_tab(page, name)
        page.wait_for_selector(f"{part}:visible")
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 1, name


# what the page took away again while axe looked at it, such as a sign of loading, is on no page
SERIOUS = """async () => (await axe.run(document, {resultTypes: ['violations'], elementRef: true})).violations
    .filter(fault => ['serious', 'critical'].includes(fault.impact))
    .map(fault => ({id: fault.id, nodes: fault.nodes.filter(node => node.element?.isConnected)}))
    .filter(fault => fault.nodes.length)
    .map(fault => `${fault.id}: ${fault.nodes.map(node => node.target.join(' ')).slice(0, 3).join(', ')}`)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.slow
def test_no_tab_has_a_serious_fault_for_those_who_see_or_use_the_page_otherwise(served, browser, scheme):
    axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python brings axe-core")
    if "seen" not in projects(served[0]):
        start("seen", "builtin:digits?per_class=1", "masks", ["ink", "ground"], home=served[0])
    page = open_page(browser, f"{served[1]}?__theme={scheme}")
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    faults = {}
    for name, part in (
        ("Start", "#start-demo"), ("Data", "#data-use-boxes"), ("Label", "#label-canvas"), ("Train", "#recipe-form"),
        ("Runs", "#runs-filter"), ("Try it", "#try-photo"), ("Learn", "#learn-page h2"),
    ):  # fmt: skip
        tab(page, name)
        page.wait_for_selector(f"{part}:visible")
        faults[name] = page.evaluate(SERIOUS)
    assert faults == dict.fromkeys(faults, [])


def test_every_control_that_acts_has_a_stable_id(home):
    app = build_app(home=home)
    kinds = {"button", "textbox", "dropdown", "file", "image", "number", "checkbox", "dataframe", "gallery", "label"}
    nameless = [
        block["type"]
        for block in app.config["components"]
        if block["type"] in kinds and not block["props"].get("elem_id")
    ]
    assert nameless == []


@pytest.mark.slow
def test_on_a_phone_the_demo_leads_to_an_answer_and_nothing_is_wider_than_the_screen(served, browser, tmp_path):
    page = open_phone(browser, served[1])
    page.tap("#start-demo")
    page.wait_for_selector("#train-start:visible")
    write(page, "field-data-train", "builtin:digits?per_class=8")
    write(page, "field-model-backbone", "studio/conv4")
    write(page, "field-eval-episodes", "20")
    fits(page)
    page.tap("#train-start")
    wait_for_status(page, "finished")
    fits(page)
    phone_tab(page, "Try it")
    page.wait_for_function("document.querySelector('#try-checkpoint input')?.value.length > 0")
    Image.new("RGB", (40, 40), "white").save(tmp_path / "photo.png")
    page.set_input_files("#try-photo input[type=file]", tmp_path / "photo.png")
    page.wait_for_function("document.querySelector('#try-answer')?.innerText.includes('%')")
    fits(page)
    phone_tab(page, "Runs")
    page.wait_for_selector("#runs-table tbody tr button")
    page.tap("#runs-table tbody tr button")
    page.wait_for_selector("#runs-state #run-status")
    fits(page)
    assert page.problems == []


def fits(page):
    """Nothing of the page is beyond the right edge of a phone."""
    assert page.evaluate("document.documentElement.scrollWidth") <= 391


def test_a_slider_of_learn_moves_its_picture(served, browser):
    page = open_page(browser, served[1])
    tab(page, "Learn")
    for topic, method, slider, value, said in (
        ("few-shot", "fewshot/ridge", "shots", "5", "5"), ("features", "align/coral", "strength", "1", "1"),
    ):  # fmt: skip
        page.click("#learn-topic input")
        page.locator("#learn-topic [role=option]").nth(list(TOPICS).index(topic)).click()
        page.wait_for_function(
            f"document.querySelector('#learn-method input').value.startsWith('{methods_of(topic)[0]}  ')"
        )
        page.click("#learn-method input")
        page.locator(f"#learn-method [role=option]:has-text('{method}')").first.click()
        page.wait_for_selector(f"#learn-{slider} input[type=range]")
        before = page.inner_html("#learn-drawn svg")
        page.fill(f"#learn-{slider} input[type=range]", value)
        page.wait_for_function("before => document.querySelector('#learn-drawn svg').innerHTML !== before", arg=before)
        assert said in page.inner_text("#learn-drawn figcaption")
    assert page.problems == []
