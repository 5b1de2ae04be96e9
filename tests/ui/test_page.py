"""The page in a real browser: a person's whole way, and nothing lost by a refresh or a closed tab."""

import importlib.util
import io
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio import run
from studio.core import recipe as recipes
from studio.core.home import Home
from studio.data import open_data, read_image
from studio.label.desk import start
from studio.runs.tools import tools
from studio.store import Store
from studio.store.labelling import Project, projects
from studio.ui import build_app
from studio.ui.pages import live

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("STUDIO_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def _load_page_forms():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "page_forms.py"
    spec = importlib.util.spec_from_file_location("page_forms", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


page_forms = _load_page_forms()


@pytest.fixture(scope="module")
def served():
    """A page whose home is where the default one is: neither in the working folder nor among temporary files."""
    folder = page_forms.outside_folder()
    home = Home.find(folder / "home")
    with page_forms.served(home) as url:
        yield home, url
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (install one, or name it in STUDIO_CHROMIUM)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture
def browser(chromium):
    """Chromium, whose pages are closed after each test: an open one goes on asking the server."""
    yield chromium
    for context in chromium.contexts:
        context.close()


def open_page(browser, url, width=1280, height=900, locale="en-US"):
    context = browser.new_context(viewport={"width": width, "height": height}, locale=locale)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(url)
    page.wait_for_selector("#start-demo", state="attached")  # a link may open on another tab
    return page


def tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


def wait_for_status(page, word, seconds=150):
    page.wait_for_function(
        "word => document.querySelector('#run-status')?.classList.contains(word)", arg=word, timeout=seconds * 1000
    )


def two_classes(folder, count):
    """Images of two classes, dark and light, each a list of files below a folder."""
    draw = np.random.default_rng(0)
    files = {}
    for label, level in (("dark", 40), ("light", 210)):
        files[label] = []
        for number in range(count):
            pixels = np.clip(draw.normal(level, 25, (48, 48, 3)), 0, 255).astype(np.uint8)
            path = folder / f"{label}{number}.png"
            Image.fromarray(pixels).save(path)
            files[label].append(str(path))
    return files


def ask(page, photo):
    """The likeliest of dark and light for a photo, as the page answers."""
    tab(page, "Try it")
    page.wait_for_function("document.querySelector('#try-checkpoint input')?.value.length > 0")
    page.set_input_files("#try-photo input[type=file]", photo)
    likeliest = page.wait_for_function(
        """names => {  // read in one look: the answer is drawn anew while it is being worked on
            const text = document.querySelector('#try-answer')?.innerText ?? '';
            const [first] = names.sort((a, b) => text.indexOf(a) - text.indexOf(b));
            return names.every(name => text.includes(name)) && first;
        }""",
        arg=["dark", "light"],
    )
    return likeliest.json_value()


def teach(page, label):
    """Shows the chosen checkpoint the photo as a `label`; the page goes on with the new one."""
    before = page.input_value("#try-checkpoint input")
    page.click("#tool-teach > button")
    page.fill("#tool-teach-label input", label)
    page.keyboard.press("Enter")
    page.click("#tool-teach-use")
    page.wait_for_selector("#tool-teach-remark :text('It has learned')")
    page.wait_for_function("before => document.querySelector('#try-checkpoint input').value !== before", arg=before)
    page.wait_for_selector("#try-undo:visible")


def mark_by_a_click(page):
    """Clicks on the photo, and asks what looks like that place; the sentence of the answer."""
    page.click("#tool-click > button")
    page.click("#try-photo img")  # its middle: a small photo does not fill its frame
    box = "document.querySelector('#tool-click-inside :is(input, textarea)')"
    page.wait_for_function(f"/^[0-9]+, [0-9]+$/.test({box}?.value)")
    page.click("#tool-click-use")
    page.wait_for_selector("#tool-click-image img")
    return page.inner_text("#tool-click-remark")


def images_of_run(page):
    """Waits until the run's images are there, and really drawn."""
    page.wait_for_function(
        "[...document.querySelectorAll('#run-figures img')].filter(image => image.naturalWidth > 0).length > 1"
    )


def test_from_images_by_class_to_an_answer_with_a_refresh_in_the_middle(served, browser, tmp_path):
    home, url = served
    files = two_classes(tmp_path, 8)
    page = open_page(browser, url)
    tab(page, "Data")
    for place, label in enumerate(files, start=1):
        page.fill(f"#class-name-{place} textarea, #class-name-{place} input", label)
        page.set_input_files(f"#class-files-{place} input[type=file]", files[label])
        page.wait_for_selector(f"#class-files-{place} :text('{label}7')")
    page.click("#data-use-boxes")
    page.wait_for_selector("#report-card")
    assert "16 images in 2 classes" in page.inner_text("#report-card")
    page.click("#data-onward")
    page.wait_for_function("document.querySelector('#field-data-train input')?.value.startsWith('folder:')")
    page.click("#train-start")
    page.wait_for_selector("#run-status")
    page.reload()
    page.wait_for_selector("#start-demo", state="attached")
    tab(page, "Train")
    wait_for_status(page, "finished")
    images_of_run(page)
    assert float(page.inner_text("#run-numbers .number b").split()[0]) > 0.9
    assert ask(page, files["light"][0]) == "light"
    assert "% of the photo is marked" in mark_by_a_click(page)
    assert page.problems == []


def test_from_thirty_images_in_a_zip_to_an_answer(served, browser, tmp_path):
    _, url = served
    files = two_classes(tmp_path, 15)
    with zipfile.ZipFile(tmp_path / "thirty.zip", "w") as archive:
        for label, paths in files.items():
            for path in paths:
                archive.write(path, f"{label}/{Path(path).name}")
    page = open_page(browser, url)
    page.click("#start-few")
    page.click("#data-zip-tab-button")
    page.set_input_files("#data-zip input[type=file]", tmp_path / "thirty.zip")
    page.wait_for_selector("#report-card")
    assert "30 images in 2 classes" in page.inner_text("#report-card")
    page.click("#data-onward")
    page.wait_for_selector("#train-start:visible")
    assert page.input_value("#train-preset input").startswith("fewshot-photos")
    page.click("#train-start")
    wait_for_status(page, "finished")
    images_of_run(page)
    assert ask(page, files["dark"][0]) == "dark"
    teach(page, "dusk")
    assert page.problems == []


def test_what_the_form_shows_is_what_is_filed_however_it_was_filled_in(served, browser):
    home, url = served
    with page_forms.filing_only() as filed:
        page = page_forms.open_form(browser, url)
        presets = ("small-data-cnn", "scenes-clear-to-fog", "compare-heads", "detect-quick")
        for preset, way in zip(presets, page_forms.WAYS, strict=True):
            assert page_forms.fill_and_start(page, preset, way, filed, Store(home)) == [], (preset, way)
        assert len(filed) == len(presets)


def test_what_was_typed_and_not_sent_outlives_a_refresh_and_stays_in_its_tab(served, browser):
    page = open_page(browser, served[1])
    page.click("#start-demo")
    page.fill("#field-eval-shots input", "3")  # and never left
    page.reload()
    page.wait_for_selector("#start-demo")
    tab(page, "Train")  # a tab is drawn once it is opened
    page.wait_for_function("document.querySelector('#field-eval-shots input')?.value === '3'")
    other = page.context.new_page()
    other.goto(served[1])
    other.wait_for_selector("#start-demo")
    tab(other, "Train")
    other.wait_for_function("document.querySelector('#field-eval-shots input')?.value === '5'")


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


def test_images_that_cannot_be_shown_leave_the_rest_of_the_view_standing(served, browser, monkeypatch):
    def broken(path):
        raise OSError("the disk is gone")

    monkeypatch.setattr(live, "served", broken)
    page = open_page(browser, served[1])
    page.click("#start-demo")
    page.fill("#field-eval-episodes input", "20", force=True)
    page.click("#train-start")
    wait_for_status(page, "finished")
    page.wait_for_selector("#run-figures-fault:has-text('the disk is gone')")
    assert page.query_selector("#run-numbers [data-metric=accuracy]")


def begin_labelling(page, file, classes, kind=1):
    """A new project on the Label page over an uploaded zip."""
    tab(page, "Label")
    page.wait_for_selector("#label-begin")
    if not page.is_visible("#label-begin-button"):
        page.click("#label-begin > button")
    page.set_input_files("#label-zip input[type=file]", file)
    page.wait_for_selector("#label-zip .file-preview, #label-zip [aria-label='Remove this file'], #label-zip table")
    page.click(f"#label-kind label:nth-of-type({kind})")
    page.fill("#label-classes textarea, #label-classes input", classes)
    page.click("#label-begin-button")
    page.wait_for_selector("#label-canvas:visible")


def labelled(page, count):
    page.wait_for_selector(f"#label-progress:has-text('{count} of')")
    page.wait_for_selector("#label-desk :not(.busy) > .label-desk, #label-desk > .label-desk")


@pytest.mark.slow
@pytest.mark.timeout(600)  # twenty labels, each an answer of the page, beside other tests
def test_photos_without_labels_become_a_classifier_that_proposes_and_is_corrected(served, browser, tmp_path):
    _, url = served
    files = two_classes(tmp_path, 11)
    with zipfile.ZipFile(tmp_path / "unsorted.zip", "w") as archive:
        for path in files["dark"] + files["light"]:
            archive.write(path, Path(path).name)
    page = open_page(browser, url)
    begin_labelling(page, tmp_path / "unsorted.zip", "dark, light")
    for number in range(20):
        labelled(page, number)
        page.keyboard.press("1" if page.inner_text("#label-said").startswith("dark") else "2")
    labelled(page, 20)
    assert "?" in page.inner_text("#label-said"), "the labels so far propose"
    page.keyboard.press("ArrowLeft")
    labelled(page, 19)
    page.keyboard.press("1" if page.inner_text("#label-said").startswith("dark") else "2")
    labelled(page, 20)
    page.click("#label-train")
    page.wait_for_selector("#recipe-form:visible")
    page.wait_for_function("document.querySelector('#field-data-train input')?.value.startsWith('labels:unsorted?at=')")
    page.click("#train-start")
    wait_for_status(page, "finished")
    assert ask(page, files["light"][0]) == "light"
    tab(page, "Label")
    page.wait_for_selector("#label-canvas:visible")
    page.click("#label-proposer input")
    page.locator("#label-proposer [role=option]").nth(1).click()
    page.wait_for_selector("#label-said:has-text('?')")
    page.keyboard.press("Enter")
    labelled(page, 21)
    page.click("#label-export")
    page.wait_for_selector("#label-download a")
    assert page.problems == []


@pytest.mark.slow
def test_boxes_drawn_on_photos_lead_to_a_detector_s_form(served, browser, tmp_path):
    home, url = served
    with zipfile.ZipFile(tmp_path / "things.zip", "w") as archive:
        for path in two_classes(tmp_path, 2)["light"]:
            archive.write(path, Path(path).name)
    page = open_page(browser, url)
    begin_labelling(page, tmp_path / "things.zip", "cell, speck", kind=2)
    for number in range(2):
        labelled(page, number)
        page.wait_for_function("document.querySelector('#label-canvas').getBoundingClientRect().width > 100")
        area = page.locator("#label-canvas").bounding_box()
        for key, (left, right) in (("1", (0.1, 0.4)), ("2", (0.6, 0.9))):
            page.keyboard.press("Escape")
            page.keyboard.press(key)
            page.mouse.move(area["x"] + left * area["width"], area["y"] + 0.2 * area["height"])
            page.mouse.down()
            page.mouse.move(area["x"] + right * area["width"], area["y"] + 0.6 * area["height"], steps=3)
            page.mouse.up()
        page.keyboard.press("Enter")
    labelled(page, 2)
    truth = next(iter(Project(home, "things").read().truths.values()))
    assert [box[0] for box in truth["boxes"]] == ["cell", "speck"] and truth["size"] == [48, 48]
    assert np.allclose(truth["boxes"][0][1:], [4.8, 9.6, 19.2, 28.8], atol=0.6)
    page.click("#label-train")
    page.wait_for_function("document.querySelector('#train-method input')?.value.startsWith('detect/')")
    assert page.input_value("#field-data-train input").startswith("labels:things?at=")
    assert page.problems == []


def test_boxes_are_found_from_a_spec_to_a_drawing(served, browser, tmp_path):
    _, url = served
    page = open_page(browser, url)
    tab(page, "Data")
    page.click("#data-spec-tab-button")
    page.fill("#data-spec input", "builtin:scenes?images=6&size=64&classes=2")
    page.keyboard.press("Enter")
    page.click("#data-use-spec")
    page.wait_for_selector("#report-card")
    assert "boxes" in page.inner_text("#report-card")
    page.click("#data-onward")
    page.wait_for_function("document.querySelector('#train-method input')?.value.startsWith('detect/fcos')")
    page.fill("#field-train-epochs input", "2")
    page.click("#train-start")
    page.wait_for_selector("#run-status")
    wait_for_status(page, "finished")
    assert page.query_selector("#run-numbers [data-metric=map_50]")
    tab(page, "Try it")
    page.wait_for_function("document.querySelector('#try-checkpoint input')?.value.startsWith('fcos')")
    Image.new("RGB", (120, 90), "white").save(tmp_path / "photo.png")
    page.set_input_files("#try-photo input[type=file]", tmp_path / "photo.png")
    page.wait_for_selector("#try-boxes img")
    assert "things were found" in page.inner_text("#try-remark")
    assert page.problems == []


@pytest.mark.slow
def test_a_photo_gets_the_style_of_another_image_and_the_slider_acts_when_it_is_let_go(served, browser, tmp_path):
    home, url = served
    draw, scenes = np.random.default_rng(0), "builtin:scenes?images=3&size=64"
    values = {"task": "translate", "method": "translate/histogram", "device": "cpu", "data": {"target": scenes}}
    checkpoint = run(values, home=home).checkpoint
    for name, most in (("photo", (256, 256, 256)), ("style", (256, 40, 40))):
        Image.fromarray(draw.integers(0, most, (48, 64, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    page = open_page(browser, url)
    tab(page, "Try it")
    page.wait_for_function(
        "name => document.querySelector('#try-checkpoint input')?.value.includes(name)", arg=checkpoint
    )
    page.set_input_files("#try-photo input[type=file]", tmp_path / "photo.png")
    page.click("#tool-restyle > button")
    page.set_input_files("#tool-restyle-style input[type=file]", tmp_path / "style.png")
    for name in ("#try-photo", "#tool-restyle-style"):
        page.wait_for_selector(f"{name} img")

    def shown(after=""):
        """The mean colour of the image that came out, once it is another than that of the address `after`."""
        found = page.wait_for_function(
            """before => {
                const image = document.querySelector('#tool-restyle-image img');
                return image?.naturalWidth > 0 && image.src !== before && image.src;
            }""",
            arg=after,
        )
        address = found.json_value()
        with Image.open(io.BytesIO(page.request.get(address).body())) as image:
            return address, np.asarray(image.convert("RGB"), float).mean((0, 1))

    page.click("#tool-restyle-use")
    whole, red = shown()
    assert red[0] > 3 * red[1]
    slider = page.locator("#tool-restyle-strength input[type=range]")
    slider.fill("0.2")
    slider.dispatch_event("pointerup")
    _, little = shown(whole)
    assert little[1] > 2 * red[1] and page.problems == []


def individuals(folder, *names):
    """A folder each of so many drawn individuals, three images in each."""
    data = open_data(f"builtin:individuals?individuals={len(names)}&size=48&views=3&cameras=1&place=1")
    for number, item in enumerate(data.items):
        path = folder / names[item.label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        read_image(item.source, item.name).save(path)
    return sorted(folder.iterdir())


def use_tool(page, tool, **texts):
    """Opens a tool below Try it, writes into its boxes, uses it; what it then says."""
    page.click(f"#tool-{tool} > button")
    for name, text in texts.items():
        page.fill(f"#tool-{tool}-{name} :is(input, textarea)", text)
        page.keyboard.press("Enter")
    if tool == "enrol":
        page.check("#tool-enrol-agreed input")
    page.click(f"#tool-{tool}-use")
    page.wait_for_selector(f"#tool-{tool}-remark p")
    return page.inner_text(f"#tool-{tool}-remark")


@pytest.mark.slow
def test_individuals_are_enrolled_recognised_and_found(served, browser, tmp_path):
    home, url = served
    recipe = {
        "task": "reid", "method": "reid/frozen", "data": {"train": "builtin:individuals?individuals=8&size=48"},
        "model": {"backbone": "timm/resnet18?random", "image_size": 64}, "device": "cpu",
    }  # fmt: skip
    assert run(recipe, home=home).checkpoint
    berta, *_ = individuals(tmp_path / "cows", "berta", "emma", "lotta")
    page = open_page(browser, url)
    tab(page, "Try it")
    page.wait_for_function("document.querySelector('#try-checkpoint input')?.value.startsWith('frozen')")
    page.wait_for_selector("#try-care :text('Not for watching or identifying anybody else')")
    page.set_input_files("#try-photo input[type=file]", next(berta.iterdir()))
    before = page.input_value("#try-checkpoint input")
    said = use_tool(page, "enrol", data=f"reid:{tmp_path / 'cows'}")
    assert "3 individuals are enrolled, by 9 images" in said
    page.wait_for_function("before => document.querySelector('#try-checkpoint input').value !== before", arg=before)
    page.wait_for_selector(f"#try-answer :text('{berta.name}')")
    assert "of 9 images are near enough" in use_tool(page, "find-in-folder", data=f"images:{tmp_path / 'cows'}")
    page.wait_for_selector("#tool-find-in-folder-image img")


def test_a_run_goes_on_when_its_tab_is_closed_and_another_tab_finds_it(served, browser):
    home, url = served
    page = open_page(browser, url)
    page.click("#start-demo")
    page.wait_for_selector("#train-start")
    page.click("#train-start")
    page.wait_for_selector("#run-status")
    run = page.inner_text("#run-state code")
    page.context.close()
    other = open_page(browser, f"{url}?run={run}")
    wait_for_status(other, "finished")
    assert other.inner_text("#run-state code") == run


def test_wrong_input_is_answered_in_a_sentence(served, browser):
    _, url = served
    page = open_page(browser, url)
    tab(page, "Data")
    page.click("#data-use-boxes")
    page.wait_for_selector("text=at least two classes")
    tab(page, "Train")
    page.fill("#field-data-train input", "foldr:photos")
    page.click("#train-start")
    page.wait_for_selector("text=no kind of data 'foldr'")


@pytest.mark.parametrize(("locale", "word"), [("zh-CN", "开始"), ("en-US", "Start")])
def test_the_page_speaks_the_visitors_language(served, browser, locale, word):
    page = open_page(browser, served[1], locale=locale)
    page.wait_for_selector(f"role=tab[name='{word}']")
    if locale == "zh-CN":
        page.wait_for_selector("text=你想做什么")
        assert "What would you like" not in page.inner_text("body")
        tab(page, "训练")
        page.get_by_text("方法自身的参数").click()
        page.wait_for_selector("text=查询到类别均值的距离")


def test_on_a_phone_nothing_sticks_out_to_the_side(served, browser):
    page = open_page(browser, served[1], width=390, height=844)
    parts = {
        "Start": "#start-demo", "Data": "#data-use-boxes", "Label": "#label-begin-button", "Train": "#recipe-form",
        "Runs": "#runs-filter", "Learn": "#learn-page",
    }  # fmt: skip
    for name, part in parts.items():
        shown = page.get_by_role("tab", name=name, exact=True)
        if shown.is_visible():
            shown.click()
            page.wait_for_selector(f"{part}:visible")
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 1, name


SERIOUS = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
    .filter(fault => ['serious', 'critical'].includes(fault.impact))
    .map(fault => `${fault.id}: ${fault.nodes.map(node => node.target.join(' ')).slice(0, 3).join(', ')}`)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
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


def test_the_client_of_the_docs_trains_predicts_and_exports(served, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.DOTALL)
    Image.new("RGB", (24, 24), "white").save(tmp_path / "new.png")
    small = '"eval.shots": 2, "eval.episodes": 5, "model.backbone": "studio/conv4", "model.image_size": 16'
    changes = {
        "http://127.0.0.1:7860": served[1], "folder:photos": "builtin:digits?per_class=8", '"eval.shots": 5': small,
        "new.jpg": str(tmp_path / "new.png"), "time.sleep(1)": "time.sleep(0.1)",
    }  # fmt: skip
    for old, new in changes.items():
        assert old in code, old
        code = code.replace(old, new)
    printed = []
    names = {"print": lambda *values: printed.append(values)}
    exec(code, names)
    (classes,), (metrics,), (label, score), (files,) = printed
    assert len(classes) == 10 and 0 <= metrics["accuracy"] <= 1
    assert label in classes and 0 <= score <= 1
    assert any(file.endswith(".safetensors") for file in files) and all(Path(file).is_file() for file in files)
    assert names["run"] in {row["run"] for row in names["studio"].predict(api_name="/list_runs")}


def test_what_can_be_called_over_the_network_is_what_the_docs_list(served):
    from gradio_client import Client

    client = Client(served[1], verbose=False)
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`(/[a-z_]+)`", text[: text.index("A whole client")])) - {"/gradio_api"}
    tool_endpoints = {f"/tool_{tool.name.replace('-', '_')}" for tool in tools()}
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == listed | tool_endpoints
    assert any(row["name"] == "quickstart" for row in client.predict(api_name="/list_presets"))
    with pytest.raises(Exception, match="no image"):
        client.predict("last", None, 3, api_name="/predict")


def test_every_control_that_acts_has_a_stable_id(home):
    app = build_app(home=home)
    kinds = {"button", "textbox", "dropdown", "file", "image", "number", "checkbox", "dataframe", "gallery", "label"}
    nameless = [
        block["type"]
        for block in app.config["components"]
        if block["type"] in kinds and not block["props"].get("elem_id")
    ]
    assert nameless == []
