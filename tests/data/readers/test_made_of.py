"""Domains made of digits: colours agree with noisy labels as often as is said, parts share no digit, doors hold."""

import numpy as np
import pytest

from studio.core.errors import DataError
from studio.core.rights import Rights
from studio.data import open_data
from studio.data.specs import allows, parse

DIGITS = "builtin:digits"
SOURCES = f"colored:{DIGITS}?agree=0.9&part=1/3,colored:{DIGITS}?agree=0.8&part=2/3,colored:{DIGITS}?agree=0.1&part=3/3"


def large(name: str) -> bool:
    """Whether the digit of this item is 5 or more, which its colour and noisy label only tell with some luck."""
    from sklearn.datasets import load_digits

    return int(load_digits().target[int(name.rpartition("-")[2])]) >= 5


def test_colours_and_labels_agree_as_often_as_is_said_and_no_digit_is_in_two_parts():
    joined = open_data(SOURCES)
    assert joined.classes == ["0-4", "5-9"] and len(joined) == 1797
    assert len({item.name.rpartition("/")[2] for item in joined.items}) == 1797
    truth = {f"digit-{i:04d}": large(f"digit-{i:04d}") for i in range(0, 1797, 9)}
    wrong = [item.label != truth[name] for item in joined.items if (name := item.name.rpartition("/")[2]) in truth]
    assert np.mean(wrong) == pytest.approx(0.25, abs=0.08)
    for domain, agree in {"+90%": 0.9, "+80%": 0.8, "-90%": 0.1}.items():
        items = [item for item in joined.items if item.domain == domain]
        assert len(items) == 599
        pixels = np.stack([item.source.read() for item in items])
        green = pixels[..., 1].any(axis=(1, 2))
        assert not pixels[..., 2].any() and bool((green != pixels[..., 0].any(axis=(1, 2))).all())
        assert np.mean(green == [item.label == 1 for item in items]) == pytest.approx(agree, abs=0.05)


def test_a_colour_is_part_of_an_image_s_digest_and_the_same_spec_gives_the_same_images():
    first, again = (open_data(f"colored:{DIGITS}?per_class=3&agree=0.5&noise=0") for _ in range(2))
    other = open_data(f"colored:{DIGITS}?per_class=3&agree=0.5&noise=0&seed=1")
    digests = [[item.source.digest() for item in one.items] for one in (first, again, other)]
    assert digests[0] == digests[1] != digests[2] and len(first) == 30
    assert [item.label for item in first.items] == [int(large(item.name)) for item in first.items]


def test_a_turned_image_is_its_original_turned():
    upright, turned = (open_data(f"rotated:{DIGITS}?per_class=2&angle={angle}") for angle in (0, 90))
    assert [item.domain for item in turned.items] == ["90 degrees"] * 20
    for before, after in zip(upright.items, turned.items, strict=True):
        assert np.array_equal(np.rot90(before.source.read()), after.source.read())
    joined = open_data(f"rotated:{DIGITS}?angle=0&part=1/2,rotated:{DIGITS}?angle=15&part=2/2")
    assert joined.items[0].name.startswith("0 degrees/") and joined.items[-1].domain == "15 degrees"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("colored:builtin:glyphs?classes=20&per_class=1", "expected the digits 0 to 9"),
        (f"colored:{DIGITS}?agree=1.5", "agree is '1.5'; expected a number from 0 to 1"),
        (f"colored:{DIGITS}?part=4/3", "part is '4/3'; expected K/N"),
        (f"rotated:{DIGITS}?angle=much", "angle is 'much'"),
        (f"rotated:{DIGITS}?seed=x", "seed is 'x'; expected a whole number"),
        (f"rotated:{DIGITS}?angel=3", "unknown option|no option 'angel'"),
        ("rotated:nothing", "does not say what kind of data"),
    ],
)
def test_what_can_not_be_made_is_refused_with_a_sentence(spec, words):
    with pytest.raises(DataError, match=words):
        open_data(spec)


def test_a_visitor_opens_what_is_made_of_built_in_images_and_no_file_behind_them(tmp_path):
    visitor = Rights("visitor01", tmp_path / "uploads")
    for spec, allowed in [
        (f"colored:{DIGITS}?agree=0.9", True),
        (f"rotated:colored:{DIGITS}?angle=15", True),
        ("colored:npz:/etc/digits.npz", False),
        ("rotated:colored:folder:/etc?angle=15", False),
        (f"colored:npz:{tmp_path}/uploads/digits.npz?x=/etc/passwd", False),
    ]:
        assert all(allows(part, visitor) for part in parse(spec)) is allowed, spec
