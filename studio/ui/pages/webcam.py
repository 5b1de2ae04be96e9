"""Live: what a webcam sees goes through the chosen checkpoint, with the frames a second that it manages here."""

import time
from typing import Any

import gradio as gr
from PIL import Image

from studio.core.errors import UsageError
from studio.ui import html
from studio.ui.catalogue import language_of, say, word
from studio.ui.guard import guarded

#: seconds between two frames that the browser offers; one that is not done in time passes over the next
EVERY_S = 0.05
#: seconds after which a camera is let go, so that a forgotten one keeps nobody waiting
LIMIT_S = 300
HOSTED_LIMIT_S = 30
#: frames whose pace is told
FRAMES = 10


def build(actions: Any, checkpoint: Any) -> None:
    with gr.Accordion(word("live.title"), open=False, elem_id="try-live"):
        gr.Markdown(word("live.about"))
        with gr.Row():
            camera = gr.Image(
                label=word("live.camera"), sources=["webcam"], streaming=True, type="pil", elem_id="live-camera",
                height=320, buttons=[],
            )  # fmt: skip
            with gr.Column(min_width=300):
                drawn = gr.Image(
                    label=word("try.boxes"), visible=False, elem_id="live-drawn", interactive=False, buttons=[]
                )
                answer = gr.HTML(elem_id="live-answer")
        ends = gr.State(())

    @guarded
    def look_live(name: str | None, frame: Image.Image | None, ended: tuple[float, ...], request: gr.Request) -> Any:
        language = language_of(request)
        if not name:
            raise UsageError(say("try.none", language))
        if frame is None:
            return gr.skip(), gr.skip(), ()
        begun = time.monotonic()
        given = next(actions.model(name).look([frame])).answer
        ended = (*ended, time.monotonic())[-FRAMES:]
        shown = given.draw(frame)
        return (
            html.live_answer(given.scores(), given.said(), pace(ended), 1000 * (ended[-1] - begun), language),
            gr.Image(shown, visible=shown is not None),
            ended,
        )

    camera.stream(
        look_live,
        [checkpoint, camera, ends],
        [answer, drawn, ends],
        stream_every=EVERY_S,
        time_limit=HOSTED_LIMIT_S if actions.hosted else LIMIT_S,
        concurrency_limit=1,  # of its own: a stream holds its turn until it ends, and a photo must not wait for that
        show_progress="hidden",
        api_visibility="private",
    )


def pace(ended: tuple[float, ...]) -> float | None:
    """Frames a second from the moments, in seconds, at which the last ones ended; None for fewer than two."""
    return (len(ended) - 1) / (ended[-1] - ended[0]) if len(ended) > 1 and ended[-1] > ended[0] else None
