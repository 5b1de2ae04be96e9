"""The data page in a browser: every image, a map of them, a version that is saved and used."""

from pathlib import Path

import pytest
from person import open_page, tab, two_classes

CAMERA = "Boolean(document.querySelector('#data-webcam video')?.srcObject)"


def choose(page, box, option):
    page.click(f"#{box} input")
    page.get_by_role("option", name=option, exact=True).click()


def images_are(page, count):
    page.wait_for_function(
        "count => document.querySelectorAll('#images-grid img').length === count", arg=count, timeout=60_000
    )


@pytest.mark.slow
def test_images_are_looked_through_mapped_and_saved_as_a_version_to_train_on(served, browser):
    page = open_page(browser, served[1])
    tab(page, "Data")
    page.click("#data-spec-tab-button")
    page.fill("#data-spec input", "builtin:digits?per_class=3")
    page.keyboard.press("Enter")
    page.click("#data-use-spec")
    images_are(page, 30)
    choose(page, "images-class", "7")
    images_are(page, 3)
    page.click("#images-map-draw")
    page.wait_for_selector("#images-map canvas", timeout=150_000)  # a process of its own loads the backbone
    page.focus("#images-map canvas")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("/^digit-.* · [0-9]$/.test(document.querySelector('#images-map figcaption').innerText)")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#images-picked img')?.naturalWidth > 0")
    page.click("#versions > button")
    page.fill("#version-name input", "thirty")
    page.click("#version-save")
    page.wait_for_function("document.querySelector('#version-one input')?.value.startsWith('thirty')")
    page.click("#version-use")
    page.click("#data-onward")
    page.wait_for_function("document.querySelector('#field-data-train input')?.value === 'version:thirty'")
    assert page.problems == []


@pytest.mark.slow
@pytest.mark.parametrize("way", ["dropped", "chosen"])
def test_a_folder_of_images_by_class_is_dropped_or_chosen_and_used(served, browser, tmp_path, way):
    for label, files in two_classes(tmp_path, 6).items():
        (tmp_path / "my photos" / label).mkdir(parents=True)
        for number, file in enumerate(files):
            Path(file).rename(tmp_path / "my photos" / label / f"{number}.png")
    (tmp_path / "my photos" / ".DS_Store").write_text("hidden")
    page = open_page(browser, served[1])
    tab(page, "Data")
    page.click("#data-zip-tab-button")
    if way == "chosen":
        page.set_input_files("#data-folder input", tmp_path / "my photos")
    else:
        drop(page, "#data-folder label", tmp_path / "my photos")
    page.wait_for_selector("#report-card")
    assert "12 images in 2 classes" in page.inner_text("#report-card")
    page.wait_for_selector("#data-zip :text('my photos')")
    assert page.problems == []


def drop(page, selector, path):
    """What a hand does that drags a file or folder of the desktop over the page and lets it go."""
    box = page.locator(selector).bounding_box()
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        held = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        session.send("Input.dispatchDragEvent", {"type": kind, **at, "data": held})


@pytest.mark.slow
def test_shots_of_a_webcam_go_to_the_class_that_is_chosen(served, browser):
    page = open_page(browser, served[1])
    page.context.grant_permissions(["camera"])
    tab(page, "Data")
    page.click("#data-webcam summary")
    for number, name in enumerate(("cup", "bowl"), start=1):
        page.fill(f"#class-name-{number} input", name)
        for shots in (1, 2):
            page.click(f"#data-webcam button:has-text('{name}'):enabled")
            page.wait_for_function(
                "([box, count]) => document.querySelectorAll(`#${box} .file`).length === count",
                arg=[f"class-files-{number}", shots],
            )
    page.click("#data-use-boxes")
    page.wait_for_selector("#report-card h3:has-text('4 images in 2 classes')", timeout=90_000)
    assert page.evaluate(CAMERA)
    tab(page, "Runs")
    page.wait_for_function(f"!({CAMERA})")
    assert page.problems == []
