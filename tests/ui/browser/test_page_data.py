"""The data page in a browser: every image, a map of them, a version that is saved and used."""

from pathlib import Path

import pytest
from person import ask, by_class, give_zip, open_page, tab, two_classes, wait_for_status, write, zip_of

from studio.data import open_data, writers

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


@pytest.mark.slow
def test_two_domains_given_one_after_the_other_are_aligned_and_what_came_of_it_is_asked(served, browser, tmp_path):
    files = {name: two_classes(make_folder(tmp_path / name), count) for name, count in (("source", 6), ("target", 5))}
    page = open_page(browser, served[1])
    tab(page, "Data")
    page.click("#data-zip-tab-button")
    for role, domain in ((2, "source"), (3, "target")):
        page.click(f"#data-role label:nth-of-type({role})")
        give_zip(page, zip_of(tmp_path / f"{domain}.zip", by_class(files[domain])))  # while the last is looked at
        page.wait_for_selector(f"#data-zip :text('{domain}')")
    page.wait_for_selector("#report-card h3:has-text('10 images')")
    page.click("#data-onward")
    for domain in ("source", "target"):
        page.wait_for_function(f"document.querySelector('#field-data-{domain} input')?.value.startsWith('zip:')")
    assert page.input_value("#field-data-source input") != page.input_value("#field-data-target input")
    assert page.input_value("#train-preset input").startswith("align-compare")
    write(page, "field-model-backbone", "studio/conv4")
    write(page, "field-model-image_size", "16")
    page.click("#train-start")
    wait_for_status(page, "finished")
    tab(page, "Try it")
    page.wait_for_function("document.querySelector('#try-checkpoint input')?.value.startsWith('meda')")
    assert ask(page, files["target"]["light"][0], hurried=True) == "light"
    assert page.problems == []


def make_folder(path):
    path.mkdir()
    return path


@pytest.mark.slow
def test_cards_and_zips_lead_to_the_form_that_fits_them(served, browser, tmp_path):
    scenes = open_data("builtin:scenes?images=6&size=64&classes=2")
    writers.write(scenes, "coco", tmp_path / "coco")
    annotated = zip_of(
        tmp_path / "boxes.zip",
        {path.relative_to(tmp_path / "coco").as_posix(): path for path in (tmp_path / "coco").rglob("*.*")},
    )
    files = two_classes(tmp_path, 4)
    page = open_page(browser, served[1])
    page.click("#start-detect")
    page.click("#data-zip-tab-button")
    give_zip(page, zip_of(tmp_path / "one.zip", by_class({"dark": files["dark"]})))
    page.wait_for_selector(".toast-body:has-text('Only one class was found (dark)')")
    assert not page.is_visible("#data-onward")
    give_zip(page, annotated)
    page.wait_for_selector("#report-card h3:has-text('6 images in 2 classes')")
    boxes = sum(len(item.boxes.labels) for item in scenes.items)
    assert f"6 images in 2 classes, {boxes} boxes, " in page.inner_text("#report-card h3")
    page.click("#data-onward")
    page.wait_for_function("document.querySelector('#field-data-train input')?.value.startsWith('zip:')")
    assert page.input_value("#train-preset input").startswith("detect-quick  ·  ")
    assert page.input_value("#field-model-image_size input") == ""  # 320 is for the preset's own scenes
    tab(page, "Start")
    page.click("#start-train")
    page.wait_for_selector("#data-zip:visible")
    give_zip(page, zip_of(tmp_path / "two.zip", by_class(files)))
    page.wait_for_selector("#report-card h3:has-text('8 images in 2 classes')")
    page.click("#data-onward")
    page.wait_for_selector("#field-train-epochs:visible")
    assert page.input_value("#train-preset input").startswith("small-data-cnn  ·  ")
    assert page.problems == []
