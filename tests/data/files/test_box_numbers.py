"""What four numbers of a box mean, also where they mean nothing."""

import numpy as np
import pytest

from studio.data.files.box_numbers import FORMS, UNITS, Numbers, fitting

SIZES = np.array([[640, 480]] * 4)
SENSELESS = np.array([[1e308, 1e308, 1e308, 1e308], [np.inf, 0, -np.inf, 1], [np.nan, 1, 2, 3], [-1e308, 0, 1e308, 5]])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("form", FORMS)
def test_numbers_without_sense_fit_no_image_and_make_no_noise(form, unit):
    assert not fitting(Numbers(form, unit), SENSELESS, SIZES).any()


@pytest.mark.parametrize(
    ("form", "row"), [("xywh", [10, 20, 30, 40]), ("xyxy", [10, 20, 40, 60]), ("cxcywh", [25, 40, 30, 40])]
)
def test_the_same_box_in_every_form_and_unit(form, row):
    in_units = {"pixels": np.array([row]), "shares": np.array([row]) / [[640, 480, 640, 480]]}
    in_units["percent"] = in_units["shares"] * 100
    for unit, rows in in_units.items():
        np.testing.assert_allclose(Numbers(form, unit).corners(rows, SIZES[:1]), [[10, 20, 40, 60]])
