"""More of what a detector can do, below Try it: look again, look beside another checkpoint, watch a film."""

from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import UsageError
from studio.data.files.video import CONTAINERS
from studio.runs.beside import beside
from studio.runs.predict import Model
from studio.runs.video import predict_video
from studio.store.outputs import Outputs
from studio.ui import forms
from studio.ui.catalogue import language_of, say, word
from studio.ui.files import served
from studio.ui.guard import guarded

FUSIONS = forms.choices(recipes.fields_of("detect")["eval.fusion"].annotation)[1:]


def build(shared: Any, tab: Any, checkpoint: Any, photo: Any) -> None:
    desk = shared.desk
    with gr.Accordion(word("again.title"), open=False, elem_id="again"):
        with gr.Row():
            mirror = gr.Checkbox(False, label=word("again.mirror"), elem_id="again-mirror", min_width=160)
            scales = gr.Textbox("1", label=word("again.scales"), max_lines=1, elem_id="again-scales", min_width=160)
            fusion = gr.Dropdown(
                ["", *FUSIONS], value="", label=word("again.fusion"), elem_id="again-fusion", min_width=160
            )
            other = gr.Dropdown([], label=word("again.other"), elem_id="again-other", min_width=220)
            together = gr.Radio(
                [(word("again.compare"), "compare"), (word("again.join"), "join")],
                value="compare", label=word("again.how"), elem_id="again-how",
            )  # fmt: skip
        look = gr.Button(word("again.look"), elem_id="again-look")
        remark = gr.Markdown(elem_id="again-remark")
        drawn = gr.Image(label=word("try.boxes"), visible=False, interactive=False, format="png", elem_id="again-boxes")
        with gr.Row():
            film = gr.File(label=word("again.film"), file_types=list(CONTAINERS), elem_id="again-film")
            every = gr.Number(5, label=word("again.every"), precision=0, minimum=1, elem_id="again-every")
        watch = gr.Button(word("again.watch"), elem_id="again-watch")
        seen = gr.Markdown(elem_id="again-seen")
        watched = gr.Video(label=word("again.watched"), visible=False, height=480, elem_id="again-watched")

    def model_of(name: str | None, request: gr.Request, **ways: Any) -> Model:
        if not name:
            raise UsageError(say("try.none", language_of(request)))
        return desk.model(name, ways)

    @guarded
    def listing(name: str | None) -> Any:
        names = [row["checkpoint"] for row in desk.store.checkpoints() if registry.task_named(row["task"]).looks]
        return gr.Dropdown(["", *(one for one in names if one != name)], value="")

    @guarded
    def again(
        name: str | None, image: Image.Image | None, turned: bool, sizes: str, how: str, second: str | None,
        kind: str, request: gr.Request,
    ) -> Any:  # fmt: skip
        if image is None:
            raise UsageError(say("again.photo", language_of(request)))
        ways: dict[str, Any] = {"mirror": turned, "scales": _numbers(sizes), "fusion": how or None}
        if second and kind == "join":
            ways["ensemble"] = [second]
        first = model_of(name, request, **ways)
        if second and kind == "compare":
            found = beside(first, model_of(second, request), image)
            return say("again.both", language_of(request), **found.counts), gr.Image(found.drawn, visible=True)
        found = next(first.look([image])).answer
        key, values = found.remark
        return say(key, language_of(request), **values), gr.Image(found.draw(image), visible=True)

    @guarded
    def look_at_film(name: str | None, path: str | None, step: float, request: gr.Request) -> Any:
        if not path:
            raise UsageError(say("again.film", language_of(request)))
        model, rows = model_of(name, request), []
        every_frame = max(1, int(step or 1))
        out = Outputs(desk.home.exports).write(
            f"{Path(path).stem}.mp4", lambda film: rows.extend(predict_video(model, path, film, every_frame))
        )
        things = sum(len(row.answer.records()) for row in rows if row.answer.scores())
        text = say("again.seen", language_of(request), frames=len(rows), count=things)
        return text, gr.Video(served(out), visible=True)

    private = {"api_visibility": "private", "concurrency_id": "device"}
    for event in (tab.select, checkpoint.change):
        event(listing, [checkpoint], [other], show_progress="hidden", api_visibility="private")
    look.click(again, [checkpoint, photo, mirror, scales, fusion, other, together], [remark, drawn], **private)
    watch.click(look_at_film, [checkpoint, film, every], [seen, watched], **private)


def _numbers(text: str) -> list[float]:
    """Sizes as a person writes them: 0.8, 1, 1.25. Raises UsageError."""
    try:
        return [float(part) for part in text.replace(";", ",").split(",") if part.strip()] or [1.0]
    except ValueError:
        raise UsageError(f"{text!r}: expected sizes such as 0.8, 1, 1.25.") from None
