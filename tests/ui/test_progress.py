"""Where progress is shown: what Gradio copies at each change of an event's state stays small."""

from gradio.blocks import BlockContext

from studio.ui import build_app


def test_no_event_shows_its_progress_at_a_container_which_would_be_copied_with_all_that_lies_in_it(home):
    page = build_app(home=home)
    targets = [event.show_progress_on for event in page.fns.values()]
    assert all(shown and not any(isinstance(block, BlockContext) for block in shown) for shown in targets)
    hidden = {
        block.elem_id
        for event in page.fns.values()
        if event.show_progress == "hidden"
        for block in event.show_progress_on
    }
    assert hidden == {"run-banner"}
