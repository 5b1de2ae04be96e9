"""Learn: every method has a page in both languages, and the pictures are what the methods themselves compute."""

import re

import numpy as np
import pytest

from studio.core import registry
from studio.core.errors import UsageError
from studio.ui.catalogue import words
from studio.ui.lesson import lesson, paper_link, topic_lesson
from studio.ui.live_pictures import domains_picture, kind_of, shots_picture
from studio.ui.topics import TOPICS, methods_of

METHODS = [cls.id for cls in registry.methods()]


def number(picture):
    """The percentage of a picture's caption."""
    return int(re.search(r"(\d+) ?%", picture.split("<figcaption>")[1])[1])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_method_has_a_page_with_its_parameters_and_paper(language):
    for name in METHODS:
        page, facts = lesson(name, language), registry.describe(registry.get(name))
        assert all(f"| `{field['name']}` |" in page for field in facts["params"]), name
        assert not facts["paper"] or "](https://" in page, name
        assert page.count("$$") == (2 if facts["formula"] else 0), name


def test_every_method_belongs_to_one_topic_and_every_part_of_a_topic_names_some():
    assert sorted(method for topic in TOPICS for method in methods_of(topic)) == sorted(METHODS)
    for topic, parts in TOPICS.items():
        assert len(methods_of(topic)) >= len(parts), topic


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_topic_has_a_page_that_says_when_it_works_and_fails_and_lists_its_methods(language):
    for topic in TOPICS:
        page = topic_lesson(topic, language)
        assert all(f"(`{method}`)" in page for method in methods_of(topic)), topic
        for part in ("about", "works", "fails"):
            assert words(language)[f"topic.{topic}.{part}"] in page, (topic, part)


def test_a_formula_is_a_methods_own_and_balanced():
    formulas = {name: registry.describe(registry.get(name))["formula"] for name in METHODS}
    assert sum(map(bool, formulas.values())) >= 50
    for name, formula in formulas.items():
        bare = re.sub(r"\\[{}]", "", formula)
        assert bare.count("{") == bare.count("}"), name
        assert len(re.findall(r"\\left(?![a-z])", bare)) == len(re.findall(r"\\right(?![a-z])", bare)), name
    assert formulas["align/dann"] and not formulas["align/pada"]  # which inherits from it


def test_signs_of_a_docstring_are_no_markdown_but_code_stays(monkeypatch):
    monkeypatch.setattr(registry.get("align/coral"), "__doc__", "A_b *c* <d> `e_f`.")
    assert r"A\_b \*c\* \<d\> `e_f`." in lesson("align/coral", "en")


def test_a_paper_is_linked_by_its_number_or_searched_by_its_title():
    assert paper_link("Snell 2017, arXiv:1703.05175") == "https://arxiv.org/abs/1703.05175"
    assert "q=Sun%202016" in paper_link("Sun 2016")


def test_a_class_mean_moves_to_the_mean_of_its_shots_and_more_shots_name_more():
    one, five = (shots_picture("fewshot/prototypes", shots) for shots in (1, 5))
    assert one.count("class='mean'") == five.count("class='mean'") == 3
    trails = [re.findall("class='trail' points='([^']*)'", picture)[0].split() for picture in (one, five)]
    assert [len(trail) for trail in trails] == [1, 5] and trails[1][0] == trails[0][0]
    assert number(five) > number(one)


def test_domains_meet_as_the_method_brings_them_together():
    apart, together = (domains_picture("align/coral", strength) for strength in (0.0, 1.0))
    assert number(together) > number(apart) + 10
    assert apart != domains_picture("align/coral", 0.5) != together


def test_only_what_can_be_drawn_on_a_plane_is():
    kinds = {name: kind_of(name) for name in METHODS}
    assert kinds["fewshot/ridge"] == "shots" and kinds["align/jda"] == "domains"
    assert not kinds["fewshot/pt-map"] and not kinds["fewshot/compare"] and not kinds["align/hfa"]
    assert domains_picture("align/kmm", 1.0) == ""  # weighs, and moves nothing
    with pytest.raises(UsageError):
        shots_picture("fewshot/none-such", 1)
    assert np.isfinite(number(shots_picture("fewshot/ridge", 3, "zh")))
