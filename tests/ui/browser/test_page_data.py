"""The data page in a browser: every image, a map of them, a version that is saved and used."""

import pytest
from person import open_page, tab


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
