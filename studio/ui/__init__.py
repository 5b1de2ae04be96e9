"""The page, in Gradio: it reads the store and files recipes, and owns no work.

May use studio.runs and below, never a wing. Words come from `words/`, one catalogue a language;
`actions` is what the page does without Gradio, `pages/` is one file a tab.
"""

from typing import Any


def build_app(**options: Any) -> Any:
    """The page as `gr.Blocks`, without serving it (see studio.ui.app.build_app)."""
    from studio.ui.app import build_app as build

    return build(**options)


def serve(**options: Any) -> int:
    """Serves the page until it is interrupted (see studio.ui.app.serve)."""
    from studio.ui.app import serve as start

    return start(**options)
