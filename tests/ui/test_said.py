"""What Try it says in words of an answer."""

import numpy as np

from adapters.detect.run.predictor import FoundBoxes
from studio.core.answers import RankedClasses, Unreadable
from studio.data.boxes import Detections
from studio.ui.pages.tryit import _said


def found(*labels):
    boxes = np.tile(np.array([[1, 2, 30, 40]], np.float32), (len(labels), 1))
    scores = np.linspace(0.9, 0.6, len(labels)).astype(np.float32)
    return FoundBoxes(Detections(boxes, np.array(labels, np.int64), scores), ["cell", "speck"], (64, 48))


def test_things_found_are_counted_and_nothing_found_is_said_too():
    assert "2 × cell (0.75 – 0.90), 1 × speck (0.60 – 0.60)" in _said(found(0, 0, 1), True, "en")
    assert _said(found(), True, "en").startswith("0 things")


def test_an_answer_without_boxes_says_its_remark_alone():
    ranked = RankedClasses(["cat", "dog"], np.array([0.7, 0.3]), {"unknown": True})
    assert _said(ranked, False, "en") and "cat" not in _said(ranked, False, "en")
    assert _said(Unreadable("no image"), True, "en") == ""
