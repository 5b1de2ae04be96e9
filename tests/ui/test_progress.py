"""Where progress is shown: what Gradio copies at each change of an event's state stays small."""

from studio.ui import build_app
from studio.ui.progress import holds_others


def test_no_event_shows_its_progress_at_a_container_which_would_be_copied_with_all_that_lies_in_it(home):
    page = build_app(home=home)
    shown = [(event.show_progress, event.show_progress_on) for event in page.fns.values()]
    assert all(blocks and not any(map(holds_others, blocks)) for _, blocks in shown)
    assert {block.elem_id for kind, blocks in shown if kind == "hidden" for block in blocks} == {"run-banner"}
    assert any(
        block.elem_id == "tabs" and holds_others(block) for event in page.fns.values() for block in event.outputs
    )
