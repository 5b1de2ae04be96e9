"""Photos without labels become data on the page."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from person import (
    ask,
    begin_labelling,
    by_class,
    give_zip,
    labelled,
    notice_after,
    offers,
    open_page,
    pick,
    tab,
    teach,
    two_classes,
    wait_for_status,
    zip_of,
)

from studio.store.labelling import Project


@pytest.mark.slow
@pytest.mark.timeout(600)  # twenty labels, each an answer of the page, beside other tests
def test_photos_without_labels_become_a_classifier_that_proposes_and_is_corrected(served, browser, tmp_path):
    home, url = served
    files = two_classes(tmp_path, 11)
    with zipfile.ZipFile(tmp_path / "unsorted.zip", "w") as archive:
        for path in files["dark"] + files["light"]:
            archive.write(path, Path(path).name)
    page = open_page(browser, url)
    begin_labelling(page, home, tmp_path / "unsorted.zip", "dark, light")
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
    begin_labelling(page, home, tmp_path / "things.zip", "cell, speck", kind=2)
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


@pytest.mark.slow
def test_wrong_labels_are_doubted_corrected_and_versions_say_what_changed(served, browser, tmp_path):
    home, url = served
    files = two_classes(tmp_path, 8)
    given = by_class(files)
    given["dark/odd.png"] = given.pop("light/light7.png")
    later = {**given, "light/new.png": files["light"][7], "light/newer.png": files["light"][0]}
    del later["dark/dark0.png"]
    page = open_page(browser, url)
    for name, images in (("given", given), ("later", later)):
        tab(page, "Data")
        page.click("#data-zip-tab-button")
        give_zip(page, zip_of(tmp_path / f"{name}.zip", images))
        page.wait_for_selector(f"#data-zip :text('{name}')")
        page.wait_for_selector(f"#report-card h3:has-text('{len(images)} images')")
        save_version(page, name)
    begin_labelling(page, home, tmp_path / "given.zip", "", keep=True)
    labelled(page, 16)
    page.click("#label-doubt")
    page.wait_for_selector("#label-doubted:visible")
    assert page.input_value("#label-doubted input").startswith("dark/odd.png: dark, more likely light")
    page.wait_for_selector("#label-said:has-text('odd.png')")
    page.keyboard.press("2")
    tab(page, "Data")
    page.click("#data-spec-tab-button")
    page.fill("#data-spec input", f"labels:{page.input_value('#label-project input')}")
    page.keyboard.press("Enter")
    page.click("#data-use-spec")
    page.wait_for_selector("#report-card h3:has-text('16 images')")
    save_version(page, "corrected")
    assert "1 relabelled · 15 unchanged" in changed(page, "given", "corrected")
    assert "odd.png" in page.inner_text("#version-changes td:first-child")
    assert "2 added · 1 removed · 15 unchanged" in changed(page, "given", "later")
    assert "Deleted later" in notice_after(page, "#version-delete")
    offers(page, "version-one", "later", "detached")
    assert page.problems == []


def save_version(page, name):
    if not page.is_visible("#version-name"):
        page.click("#versions > button")
    page.fill("#version-name input", name)
    page.click("#version-save")
    page.wait_for_function(f"document.querySelector('#version-one input')?.value.startsWith('{name} ')")


def changed(page, before, after):
    """What became of one version until another."""
    pick(page, "version-one", f"{after} ")
    pick(page, "version-before", f"{before} ")
    page.click("#version-compare")
    title = page.locator(f"#version-changes .count:has-text('{before} → {after}')")
    return title.inner_text()
