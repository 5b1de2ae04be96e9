"""Events of people in a hurry: what is done while an answer is under way is neither dropped nor undone by it."""

from collections.abc import Sequence

import gradio as gr

#: of an event by which something is chosen: Gradio drops one while the answer to another of its kind is under way
LATEST = {"trigger_mode": "always_last", "api_visibility": "private"}


def renewed(choices: Sequence[tuple[str, str]], current: str | None, otherwise: str | None = None) -> gr.Dropdown:
    """A list made anew: what was chosen stays where it is still there, else `otherwise` is.

    A value is sent only where it has to change: another may have been chosen since `current` was.
    """
    value = current if current in [one for _, one in choices] else otherwise
    return gr.Dropdown(list(choices)) if value == current else gr.Dropdown(list(choices), value=value)
