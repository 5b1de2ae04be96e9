"""Boxes and masks are drawn on a phone, by finger."""

import numpy as np
import pytest
from person import Fingers, open_phone, phone_tab, two_classes

from studio.data.masks.outlines import filled_by
from studio.label.desk import start
from studio.store.labelling import Project


def desk_on_a_phone(served, browser, folder, kind, classes):
    """A project of photos without labels, opened on a phone: its page, fingers on its image, where its labels are."""
    home, url = served
    two_classes(folder, 2)
    start(kind, f"images:{folder}", kind, classes, home=home)
    page = open_phone(browser, url)
    phone_tab(page, "Label")
    page.wait_for_selector("#label-canvas:visible")
    if page.input_value("#label-project input") != kind:
        page.tap("#label-project input")
        page.get_by_role("option", name=kind, exact=True).tap()
    page.wait_for_selector(f"#label-hint-{kind}")
    page.wait_for_function("document.querySelector('#label-canvas').getBoundingClientRect().width > 100")
    return page, Fingers(page, "#label-canvas"), Project(home, kind)


def saved(page, project):
    page.tap("#label-save")
    page.wait_for_selector("#label-progress:has-text('1 of 4')")
    (truth,) = project.read().truths.values()
    return truth


@pytest.mark.slow
def test_boxes_are_drawn_stretched_named_and_taken_back_by_finger(served, browser, tmp_path):
    page, fingers, project = desk_on_a_phone(served, browser, tmp_path, "boxes", ["cell", "speck"])
    before = page.evaluate("scrollY")
    fingers.draw((0.1, 0.2), (0.4, 0.6))
    page.tap("#label-class-2")
    fingers.draw((0.42, 0.62), (0.5, 0.8))  # a finger is no mouse: near a corner is at it
    fingers.draw((0.6, 0.1), (0.9, 0.4))
    page.tap("#label-undo")
    fingers.pinch((0.2, 0.3), (0.7, 0.9))
    assert page.evaluate("scrollY") == before, "the page stays where it is"
    assert page.evaluate("visualViewport.scale") > 1, "and can be pinched"
    truth = saved(page, project)
    assert [name for name, *_ in truth["boxes"]] == ["speck"]
    assert np.allclose(truth["boxes"][0][1:], [4.8, 9.6, 24, 38.4], atol=0.6)
    assert page.problems == []


@pytest.mark.slow
def test_masks_are_painted_and_outlined_by_finger(served, browser, tmp_path):
    page, fingers, project = desk_on_a_phone(served, browser, tmp_path, "masks", ["ink", "ground"])
    before = page.evaluate("scrollY")
    fingers.draw((0.2, 0.15), (0.8, 0.15))
    page.tap("#label-class-2")
    page.tap("#label-polygon")
    for corner in ((0.2, 0.5), (0.8, 0.5), (0.8, 0.9), (0.4, 0.6)):
        fingers.tap(corner)
    page.tap("#label-undo")  # the last corner alone
    fingers.pinch((0.3, 0.3), (0.6, 0.7), wider=0.01)  # sets none
    fingers.tap((0.2, 0.9))
    fingers.tap((0.22, 0.52))  # closes it
    assert page.evaluate("scrollY") == before
    truth = saved(page, project)
    masks = {name: filled_by(shape, (48, 48)) for name, shape in truth["shapes"]}
    assert masks["ink"][7, 24] and not masks["ink"][24, 24]
    inside = masks["ground"]
    assert inside[34, 24] and not inside[20, 24] and abs(inside.sum() - 0.6 * 0.4 * 48**2) < 60
    assert page.problems == []
