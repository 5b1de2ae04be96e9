"""Photos without labels become data on the page."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from person import ask, begin_labelling, labelled, open_page, tab, teach, two_classes, wait_for_status

from studio.store.labelling import Project


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
    tab(page, "Try it")  # with the photo that it was asked about
    teach(page, "dusk")
    page.click("#try-keep > button")
    page.click("#try-export")
    page.wait_for_selector("#try-download a")
    assert page.problems == []


@pytest.mark.slow
def test_boxes_drawn_on_ten_photos_become_a_detector_that_draws(served, browser, tmp_path):
    home, url = served
    files = two_classes(tmp_path, 10)["light"]
    with zipfile.ZipFile(tmp_path / "things.zip", "w") as archive:
        for path in files:
            archive.write(path, Path(path).name)
    page = open_page(browser, url)
    begin_labelling(page, tmp_path / "things.zip", "cell, speck", kind=2)
    for number in range(10):
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
    labelled(page, 10)
    truth = next(iter(Project(home, "things").read().truths.values()))
    assert [box[0] for box in truth["boxes"]] == ["cell", "speck"] and truth["size"] == [48, 48]
    assert np.allclose(truth["boxes"][0][1:], [4.8, 9.6, 19.2, 28.8], atol=0.6)
    page.click("#label-train")
    page.wait_for_function("document.querySelector('#train-method input')?.value.startsWith('detect/')")
    assert page.input_value("#field-data-train input").startswith("labels:things?at=")
    page.fill("#field-train-minutes input", "0.1", force=True)
    page.fill("#field-model-image_size input", "64", force=True)
    page.click("#train-start")
    wait_for_status(page, "finished")
    tab(page, "Try it")
    page.wait_for_function("document.querySelector('#try-checkpoint input')?.value.length > 0")
    page.set_input_files("#try-photo input[type=file]", files[0])
    page.wait_for_selector("#try-boxes img")
    assert "found" in page.inner_text("#try-remark")
    assert page.problems == []
