"""From data to a run: nothing typed is lost, nor by a refresh, nor by a closed tab."""

import re
import zipfile
from pathlib import Path

import pytest
from person import (
    ask,
    curves_of_run,
    images_of_run,
    mark_by_a_click,
    notice_after,
    numbers_of_run,
    open_page,
    page_forms,
    tab,
    teach,
    two_classes,
    wait_for_status,
)
from PIL import Image

from studio import run
from studio.store import Store
from studio.ui.pages import live


@pytest.mark.slow
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


@pytest.mark.slow
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
    said = numbers_of_run(page)  # of new images, not of the episodes alone
    assert re.search(r"\(\d\.\d+ – \d\.\d+\)\s+expected on new images", said)
    assert ask(page, files["dark"][0], hurried=True) == "dark"
    teach(page, "dusk")
    assert page.problems == []


@pytest.mark.slow
def test_boxes_are_found_from_a_spec_to_a_drawing(served, browser, tmp_path):
    _, url = served
    page = open_page(browser, url)
    tab(page, "Data")
    page.click("#data-spec-tab-button")
    page.fill("#data-spec input", "builtin:scenes?images=6&size=64&classes=2")
    page.keyboard.press("Enter")
    page.click("#data-use-spec")
    page.wait_for_selector("#report-card")
    assert re.match(r"6 images in 2 classes, \d+ boxes, ", page.inner_text("#report-card"))
    page.click("#data-onward")
    page.wait_for_function("document.querySelector('#train-method input')?.value.startsWith('detect/fcos')")
    page.fill("#field-train-epochs input", "2")
    page.click("#train-start")
    page.wait_for_selector("#run-status")
    wait_for_status(page, "finished")
    assert page.query_selector("#run-numbers [data-metric=map_50]") and numbers_of_run(page)
    losses, scores = curves_of_run(page)
    assert losses == {"classification · training", "bbox regression · training", "bbox ctrness · training"}
    assert "mAP at IoU 0.5 · validation" in scores and all(name.endswith("validation") for name in scores)
    tab(page, "Try it")
    page.wait_for_function("document.querySelector('#try-checkpoint input')?.value.startsWith('fcos')")
    Image.new("RGB", (120, 90), "white").save(tmp_path / "photo.png")
    page.set_input_files("#try-photo input[type=file]", tmp_path / "photo.png")
    page.wait_for_selector("#try-boxes img")
    assert "things were found" in page.inner_text("#try-remark")
    assert page.problems == []


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_wrong_input_is_answered_in_a_sentence(served, browser, tmp_path):
    _, url = served
    page = open_page(browser, url)
    tab(page, "Data")
    page.click("#data-use-boxes")
    page.wait_for_selector("text=at least two classes")
    (tmp_path / "my photos.zip").write_text("no zip")
    page.click("#data-zip-tab-button")
    page.set_input_files("#data-zip input[type=file]", tmp_path / "my photos.zip")
    page.wait_for_selector("text=my photos.zip is no readable zip")
    assert not page.is_visible("#data-onward")
    tab(page, "Train")
    page.fill("#field-data-train input", "foldr:photos")
    page.click("#train-start")
    page.wait_for_selector("text=no kind of data 'foldr'")


@pytest.mark.slow
def test_a_sweep_is_started_looked_at_and_stopped(served, browser):
    home, url = served
    page = open_page(browser, url)
    tab(page, "Train")
    page_forms.choose_preset(page, "small-data-cnn")
    page.fill("#field-data-train input", "builtin:digits?per_class=4")
    page.click("#train-sweep button.label-wrap")
    page.fill("#sweep-over textarea", "train.lrr=1,2")
    page.click("#sweep-start")
    page.wait_for_function("document.body.innerText.includes('lrr')")  # it is refused, and nothing is filed
    assert list((home.root / "sweeps").glob("*/progress.json")) == []
    page.fill("#sweep-over textarea", "train.lr=log:1e-4..1e-2")
    page.fill("#sweep-trials input", "2")
    page.click("#sweep-start")
    for _ in range(200):
        page.click("#sweep-look")
        page.wait_for_timeout(300)
        if "of 2 runs done" in page.inner_text("#sweep-shown"):
            break
    assert "of 2 runs done" in page.inner_text("#sweep-shown")
    page.click("#sweep-stop")
    page.wait_for_selector("text=its runs save first")
    (sweep,) = (path.parent for path in (home.root / "sweeps").glob("*/progress.json"))
    for _ in range(200):
        if "Stopped; the same command goes on" in (sweep / "log.txt").read_text(encoding="utf-8"):
            break
        page.wait_for_timeout(300)
    assert "Stopped; the same command goes on" in (sweep / "log.txt").read_text(encoding="utf-8")
    assert page.problems == []


@pytest.mark.slow
def test_stop_and_resume_say_what_a_run_is_and_one_stopped_at_once_is_over(served, browser):
    home, url = served
    recipe = {
        "method": "fewshot/prototypes", "model": {"backbone": "studio/conv4", "image_size": 16},
        "data": {"train": "builtin:digits?per_class=4"}, "eval": {"ways": 3, "shots": 1, "queries": 1, "episodes": 2},
    }  # fmt: skip
    done = run(recipe, home=home).run
    page = open_page(browser, f"{url}?run={done}")
    wait_for_status(page, "finished")
    assert "The run is finished already; there is nothing to stop" in notice_after(page, "#train-stop")
    assert f"Run {done} is finished; only a stopped or failed run can be resumed" in notice_after(page, "#train-resume")
    page_forms.choose_preset(page, "small-data-cnn")
    page.fill("#field-data-train input", "builtin:digits?per_class=4")
    page.fill("#field-train-epochs input", "9000")
    page.click("#train-start")
    page.click("#train-stop")
    wait_for_status(page, "stopped")
    begun = page.inner_text("#run-state code")
    assert begun != done and not Store(home).run(begun).is_alive()
    assert [row["status"] for row in Store(home).runs()].count("running") == 0
    page.wait_for_selector("#run-banner .banner", state="detached")
    page.click("#train-resume")
    wait_for_status(page, "running")
    page.click("#train-stop")
    wait_for_status(page, "stopped")
    assert page.problems == []
