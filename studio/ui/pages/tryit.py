"""Try it: a checkpoint, a photo, an answer, the reason for it; teach it where it is wrong."""

from typing import Any

import gradio as gr
from PIL import Image

from studio.core.errors import UsageError
from studio.ui.catalogue import care, language_of, say, word
from studio.ui.events import LATEST, renewed
from studio.ui.guard import guarded, inform
from studio.ui.pages import keep, tools, webcam
from studio.ui.tabs import once_seen


def build(shared: Any, tab: Any) -> None:
    actions = shared.actions
    with gr.Row():
        with gr.Column(min_width=300):
            checkpoint = gr.Dropdown(
                [], label=word("try.checkpoint"), elem_id="try-checkpoint", allow_custom_value=True
            )  # scripts name one that was never listed to them; the store knows whether it is theirs
            photo = gr.Image(
                type="pil",
                label=word("try.photo"),
                sources=["upload", "webcam", "clipboard"],
                elem_id="try-photo",
                height=320,
            )
        with gr.Column(min_width=300):
            drawn = gr.Image(
                label=word("try.boxes"), visible=False, elem_id="try-boxes", interactive=False, format="png"
            )
            answer = gr.Label(num_top_classes=5, label=word("try.answer"), visible=False, elem_id="try-answer")
            remark = gr.Markdown(elem_id="try-remark")
            mind = gr.Markdown(elem_id="try-care", elem_classes="care")
            nearest = gr.Gallery(
                label=word("try.nearest"),
                columns=4,
                height=170,
                visible=False,
                elem_id="try-nearest",
                buttons=["fullscreen"],
            )
            undo = gr.Button(visible=False, size="sm", elem_id="try-undo")
            served_by, use = keep.build(actions, checkpoint)

    webcam.build(actions, checkpoint)
    beside = tools.build(shared, checkpoint, photo)

    @guarded
    def listing(current: str | None) -> Any:
        known = actions.checkpoints()
        names = tuple(name for _, name in known)
        news = renewed(known, current, names[0] if names else None)
        return news, (current, names) if current in names else gr.skip()

    @guarded
    def chosen(name: str | None, request: gr.Request) -> Any:
        if not name:
            return "", "", gr.Button(visible=False), ""
        manifest = actions.store.checkpoint(name).manifest
        parent, language = manifest.lineage.get("parent"), language_of(request)
        parent = parent if parent in (known for _, known in actions.checkpoints()) else None  # it may be deleted
        back = say("try.undo", language, name=parent) if parent else ""
        undoes = gr.Button(back, visible=bool(parent))
        return *keep.code_for(name), undoes, care(manifest.task, language)

    @guarded
    def look(name: str | None, image: Image.Image | None, request: gr.Request) -> Any:
        if image is None:
            return gr.Label(None, visible=False), "", gr.Gallery(visible=False), gr.Image(visible=False)
        if not name:
            raise UsageError(say("try.none", language_of(request)))
        model = actions.model(name)
        answer_given, language = next(model.look([image])).answer, language_of(request)
        shown, near, scores = answer_given.draw(image), list(answer_given.neighbours()), answer_given.scores()
        return (
            gr.Label(scores or None, visible=shown is None and bool(scores)),  # what is drawn is its own answer
            _said(answer_given, shown is not None, language),
            gr.Gallery(near, visible=bool(near)),
            gr.Image(shown, visible=shown is not None),
        )

    @guarded
    def go_back(name: str | None, request: gr.Request) -> Any:
        parent = actions.store.checkpoint(name).manifest.lineage.get("parent") if name else None
        if not parent:
            return gr.skip()
        inform(say("try.undone", language_of(request), name=parent), seconds=5)
        return gr.Dropdown(actions.checkpoints(), value=parent)

    private = {"api_visibility": "private"}
    once_seen(tab)(listing, [checkpoint], [checkpoint, beside], show_progress="hidden", **LATEST)
    checkpoint.change(chosen, [checkpoint], [served_by, use, undo, mind], show_progress="hidden", **private)
    gr.on(
        [photo.change, checkpoint.change], look, [checkpoint, photo], [answer, remark, nearest, drawn],
        concurrency_id="device", concurrency_limit=1, **private,
    )  # fmt: skip
    undo.click(go_back, [checkpoint], [checkpoint], show_progress="hidden", **private)


def _said(answer: Any, drawn: bool, language: str) -> str:
    """What an answer says in words, beside its drawing where there is one."""
    key, values = answer.remark or ("", {})
    sentence = say(key, language, **values) if key else ""
    return f"{sentence} {answer.said() if drawn else ''}".strip()
