"""The pages of a data set's images, as they are drawn."""

import pytest

from studio.runs.image_table import PROBLEMS, ImageRow, ImageTable
from studio.store.version_changes import KINDS, Change, Changes
from studio.store.versions import Facts
from studio.ui.catalogue import say
from studio.ui.image_grid import GROUPS, PER_PAGE, Wanted, draw
from studio.ui.pages.versions import changes_table


@pytest.fixture
def table(tmp_path):
    """A hundred images of two classes; the first two are nearly the same, and two files could not be read."""
    (tmp_path / "thumbnails.bin").write_bytes(b"jpeg" * 100)
    rows = [ImageRow(f"<b>{number}", (number % 2,), number % 2, 4 * number, 4) for number in range(100)]
    broken = [("<i>cut.png", "it is damaged"), ("cut2.png", "it is damaged")]
    groups = {"near_duplicates": [[0, 1]], "duplicates": [[number, number + 1] for number in range(50)]}
    return ImageTable(tmp_path, "folder:x", 100, ["cat", "dog & co"], ["train", "test"], rows, groups, broken)


def test_every_image_is_on_one_page_and_the_last_is_shown_for_one_too_many(table):
    pages = [draw(table, Wanted(page=page), "en") for page in range(3)]
    assert [page.html.count("<img") for page in pages] == [PER_PAGE, PER_PAGE, 100 - 2 * PER_PAGE]
    assert all(page.pages == 3 for page in pages) and f"97 to 100 of 100 {say('images.images', 'en')}" in pages[2].html
    assert draw(table, Wanted(page=9), "en") == pages[2] and draw(table, Wanted(page=-1), "en") == pages[0]
    assert draw(table, Wanted("dog & co", "train"), "en").html.count("<img") == 0
    assert draw(table, Wanted("dog & co", "test"), "en").html.count("<img") == PER_PAGE


def test_images_of_a_problem_stand_side_by_side_with_what_to_do(table):
    shown = draw(table, Wanted(problem="near_duplicates"), "zh")
    (group,) = shown.html.split("<section")[1:]
    assert group.count("<img") == 2 and say("problem.near_duplicates.advice", "zh") in shown.html
    shown = draw(table, Wanted(problem="duplicates", page=4), "en")
    assert shown.html.count("<section") == 50 - 4 * GROUPS and shown.pages == 5
    assert "it is damaged" in draw(table, Wanted(problem="broken"), "en").html


def test_names_and_classes_are_no_markup(table):
    for problem in (None, *PROBLEMS):
        html = draw(table, Wanted(problem=problem), "en").html
        assert "<b>" not in html and "<i>" not in html and "dog & co" not in html


def test_what_changed_between_versions_is_said_in_both_languages_and_is_no_markup():
    facts = [Facts(f"<b>{name}", "folder:x", "", ["cat"], [], 3, 9, "ab" * 32) for name in "ab"]
    rows = [Change("<i>1.png", kind, "cat", "<i>dog") for kind in KINDS]
    for language in ("en", "zh"):
        html = changes_table(Changes(*facts, rows, 7), language)
        assert "<b>a" not in html and "<i>" not in html and html.count("<tr>") == 1 + len(KINDS)
        assert all(say(f"versions.change.{kind}", language) in html for kind in KINDS)
        assert say("versions.unchanged", language, count=7) in html
