"""Two domains: the target comes without its boxes, and is scored on images of its own."""

import pytest

from adapters.detect.data.domains import resolve_box_domains
from adapters.detect.task import DetectData
from studio.core.errors import DataError, UsageError

CLEAR = "builtin:scenes?images=10&size=64&classes=2"
FOG = "builtin:scenes?images=6&size=64&classes=2&look=fog&seed=1"


def test_the_target_has_images_and_no_boxes():
    found = resolve_box_domains(DetectData(source=CLEAR, target=FOG), 0)
    assert len(found.target) == 6
    assert not any(hasattr(item, name) for item in found.target.items for name in ("boxes", "label"))
    assert len(found.train) + len(found.val) == 10
    assert len(found.test) == 6 and "very images" in found.note


def test_the_test_is_what_is_named():
    other = "builtin:scenes?images=3&size=64&classes=2&look=fog&seed=2"
    found = resolve_box_domains(DetectData(source=CLEAR, target=FOG, test=other), 0)
    assert len(found.test) == 3 and "data.test" in found.note


def test_boxes_of_classes_that_the_source_has_not_do_not_count():
    more = "builtin:scenes?images=6&size=64&classes=4&look=fog&seed=1"
    found = resolve_box_domains(DetectData(source=CLEAR, target=more), 0)
    assert found.test.classes == found.train.classes == ["0", "1"]
    assert "are left out of the score" in found.note


def test_a_target_without_boxes_is_not_scored():
    found = resolve_box_domains(DetectData(source=CLEAR, target="builtin:digits"), 0)
    assert found.test is None and len(found.target) > 0


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"source": CLEAR}, UsageError, "data.target: nothing"),
        ({"target": FOG}, UsageError, "data.source: nothing"),
        ({"source": CLEAR, "target": FOG, "train": CLEAR}, UsageError, "leave data.train out"),
        ({"source": "builtin:digits", "target": FOG}, DataError, "has no boxes"),
        ({"source": CLEAR, "target": FOG, "test": "builtin:digits"}, DataError, "no boxes to score"),
    ],
)
def test_what_is_missing_is_said(given, error, said):
    with pytest.raises(error, match=said):
        resolve_box_domains(DetectData(**given), 0)
