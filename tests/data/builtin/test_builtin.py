"""Built-in sets: made anew the same each time, large and varied, options checked."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from studio.core.errors import DataError
from studio.data import open_data
from studio.data.builtin.glyphs import FONTS, alphabet, draw_glyph


def test_digits_are_the_scans_that_scikit_learn_has():
    from sklearn.datasets import load_digits

    data, source = open_data("builtin:digits"), load_digits()
    assert len(data) == 1797 and data.classes == list("0123456789")
    assert data.labels.tolist() == source.target.tolist()
    pixels = np.stack([item.source.read() for item in data.items])
    assert pixels.dtype == np.uint8 and pixels.max() == 255
    assert np.array_equal(np.round(pixels / 255 * 16), source.images)
    assert np.bincount(open_data("builtin:digits?per_class=7").labels).tolist() == [7] * 10


def test_glyphs_are_hundreds_of_classes_with_each_font_a_domain():
    data = open_data("builtin:glyphs?classes=400&per_class=28")
    assert len(data.classes) == len(set(data.classes)) == 400 and np.bincount(data.labels).tolist() == [28] * 400
    assert data.classes[:12] == [*"0123456789", "A", "B"]
    assert {item.domain for item in data.items} == set(FONTS)
    assert len({item.name for item in data.items}) == len(data) == len({item.source.digest() for item in data.items})
    assert len(alphabet()) >= 500


def test_a_class_is_a_shape_of_its_own():
    assert {*"0123456789", *"AZaz", "Ω", "ж", "∑"} <= set(alphabet())
    for twins in ("AΑА", "oоо", "ÈÉ", "Κк"):  # Latin, Greek and Cyrillic; the same but for an accent; but for size
        assert len(set(twins) & set(alphabet())) <= 1
    assert all(character.strip() for character in alphabet())


def test_the_same_options_give_the_same_images_also_from_many_threads():
    spec = "builtin:glyphs?classes=30&per_class=14&size=32"
    first = [item.source.read() for item in open_data(spec).items]
    with ThreadPoolExecutor(8) as pool:
        again = list(pool.map(lambda item: item.source.read(), open_data(spec).items))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    other = open_data(f"{spec}&seed=1").items[0].source
    assert not np.array_equal(other.read(), first[0]) and first[0].shape == (32, 32, 3)
    assert other.digest() != open_data(spec).items[0].source.digest()


def test_every_image_shows_its_character():
    for character in (*alphabet()[::37], "."):
        for font in FONTS:
            image = draw_glyph(character, font, 0, 48, 0).astype(float)
            edge = np.concatenate([image[0], image[-1]]).mean(0)
            assert (np.abs(image - edge).mean(2) > 40).mean() > 0.002, f"{character} in {font}"


def test_domains_can_be_chosen():
    data = open_data("builtin:glyphs?classes=3&per_class=4&domain=serif+mono")
    assert [item.domain for item in data.items] == ["serif", "mono"] * 6


def test_a_thousand_images_are_there_in_a_moment():
    items = open_data("builtin:glyphs?classes=50&per_class=20").items
    begun = time.process_time()
    for item in items:
        item.source.read()
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("glyph", "no such set.* 'glyphs'"),
        ("digits?size=3", "no option 'size'"),
        ("digits?per_class=999", "per_class is '999'; expected a whole number from 1 to 174"),
        ("glyphs?domain=seriff", "no domain 'seriff'.* 'serif'"),
        ("glyphs?classes=1", "classes is '1'; expected a whole number from 2 to"),
        ("glyphs?classes=5000", "classes is '5000'"),
        ("glyphs?size=x", "size is 'x'"),
    ],
)
def test_an_option_out_of_range_is_named(spec, sentence):
    with pytest.raises(DataError, match=sentence):
        open_data(f"builtin:{spec}")
