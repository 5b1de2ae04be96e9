"""Events of people in a hurry: what is done while an answer is under way is neither dropped nor undone by it."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

#: of an event by which something is chosen: Gradio drops one while the answer to another of its kind is under way
LATEST = {"trigger_mode": "always_last", "api_visibility": "private"}


def in_line(
    event: Any, line: str, handler: Any, inputs: list[Any], outputs: list[Any], js: str = "(...sent) => sent",
    end: str = "", trigger_mode: str = "multiple", **options: Any,
) -> Any:  # fmt: skip
    """Ties an event to a handler that is asked once the events before it in this line have their answers; the event.

    Gradio asks for up to eight answers at once, and the last to come is what is shown. What the inputs are is told as
    the event happens; `js` makes in the browser what is sent of them, once it is this one's turn, and `end` is done
    there as the turn ends, with an answer or an error: Gradio's `then` is not told of an error.
    """
    entered = f"async (...sent) => {{ await studioLine.enter('{line}'); return await ({js})(...sent); }}"
    answered = event(handler, inputs, outputs, js=entered, trigger_mode=trigger_mode, **options)
    for ended in (answered.success, answered.failure):
        ended(None, js=f"() => {{ {end} studioLine.leave('{line}'); }}", api_visibility="private")
    return answered


def renewed(choices: Sequence[tuple[str, str]], current: str | None, otherwise: str | None = None) -> gr.Dropdown:
    """A list made anew: what was chosen stays where it is still there, else `otherwise` is.

    A value is sent only where it has to change: another may have been chosen since `current` was.
    """
    value = current if current in [one for _, one in choices] else otherwise
    return gr.Dropdown(list(choices)) if value == current else gr.Dropdown(list(choices), value=value)
