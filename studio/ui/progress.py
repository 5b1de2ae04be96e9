"""Where it is shown that something is being worked on: as few components as it takes, and never a container.

At each change of any event's state Gradio's page visits every component whose progress was ever shown, and copies all
that it holds, with all that lies in it: with the tabs among them a click copied the whole page several times over.
"""

from collections.abc import Iterable
from typing import Any

from gradio.blocks import Blocks


def show_little_progress(page: Blocks, quiet: Any) -> None:
    """Events that hide their progress have it at `quiet` alone, a small component; the others at no container."""
    for event in page.fns.values():
        if event.show_progress == "hidden":
            event.show_progress_on = [quiet]
        elif event.show_progress_on is None:
            event.show_progress_on = _leaves(event.outputs) or [quiet]


def holds_others(block: Any) -> bool:
    """Whether components lie in it; where nothing does, an HTML component is none of these, though it could be."""
    return bool(getattr(block, "children", None))


def _leaves(outputs: Iterable[Any]) -> list[Any]:
    return [output for output in outputs if not holds_others(output)]
