"""What a person does while the page still answers what they did before."""

from types import SimpleNamespace

import gradio as gr
import pytest

from studio.ui import build_app
from studio.ui.events import renewed

REQUEST = SimpleNamespace(headers={"accept-language": "en"}, query_params={}, cookies={})
ACTS = {"click", "load", "tick", "expand", "stream"}  # the rest tell what was chosen or written


def test_what_is_chosen_while_an_answer_is_under_way_is_not_dropped(home):
    dropped = [
        f"{event.name} of {[target[1] for target in event.targets]}"
        for event in build_app(home=home).fns.values()
        if event.fn and event.trigger_mode == "once" and {target[1] for target in event.targets} - ACTS
    ]
    assert dropped == []


def test_a_list_that_is_only_looked_at_and_left_does_nothing(home):
    page = build_app(home=home)
    heard = [
        page.blocks[target].elem_id
        for event in page.fns.values()
        for target, name in event.targets
        if name == "input" and isinstance(page.blocks.get(target), gr.Dropdown) and not page.blocks[target].multiselect
    ]
    assert heard == []  # Gradio tells of an input whenever such a list is left, and twice of each choice


def test_what_ends_an_event_is_told_of_one_that_fails(home):
    page = build_app(home=home)
    unheard = [
        event.js
        for event in page.fns.values()
        if event.trigger_after is not None and not (event.trigger_only_on_success or event.trigger_only_on_failure)
        and page.fns[event.trigger_after].fn
    ]  # fmt: skip
    assert unheard == []  # Gradio's `then` is not told of an error


def test_tabs_are_opened_in_the_browser_since_an_answer_that_names_them_visits_all_that_lies_in_them(home):
    page = build_app(home=home)
    (tabs,) = (block for block in page.blocks.values() if block.elem_id == "tabs")
    named = [event for event in page.fns.values() if tabs in event.outputs]
    assert {target[1] for event in named for target in event.targets} == {"load"}  # a link to a run


@pytest.mark.parametrize("handler", ["watched", "take_recipe"])
def test_where_no_run_is_chosen_none_is_shown_and_it_is_said(home, handler):
    functions = {getattr(event.fn, "__name__", ""): event.fn for event in build_app(home=home).fns.values()}
    with pytest.raises(gr.Error, match="There is no run here yet"):
        functions[handler](None, REQUEST)


def test_a_list_made_anew_names_a_value_only_where_it_has_to_change():
    known = [("first", "a"), ("second", "b")]
    assert "value" not in sent(renewed(known, "b", "a"))
    assert "value" not in sent(renewed([], None))
    assert sent(renewed(known, "gone", "a"))["value"] == "a" and sent(renewed([], "gone"))["value"] is None


def sent(dropdown: gr.Dropdown) -> dict:
    return dropdown.constructor_args


def test_what_is_found_for_data_or_a_project_that_was_left_meanwhile_is_not_shown(home):
    functions = {getattr(event.fn, "__name__", ""): event.fn for event in build_app(home=home).fns.values()}
    assert sent_update(functions["show_map"]("other data", "these data", REQUEST))
    assert sent_update(functions["_list_doubts"]("another", ("this one", [("odd.png", "odd.png")])))


def sent_update(answer) -> bool:
    """Whether an answer leaves everything as it is."""
    return answer == gr.skip()
