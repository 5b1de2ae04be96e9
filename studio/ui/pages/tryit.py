"""Try it: a checkpoint, a photo, an answer, the reason for it; teach it where it is wrong."""

from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from studio.core.errors import UsageError
from studio.runs.export import WRITERS
from studio.ui import html
from studio.ui.catalogue import care, language_of, say, word
from studio.ui.files import served
from studio.ui.guard import guarded, inform
from studio.ui.pages import tools, webcam


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
            with gr.Accordion(word("try.keep"), open=False, elem_id="try-keep"):
                kind = gr.Radio(
                    list(WRITERS), value="safetensors", label=word("try.format"), info=word("try.format.info"),
                    elem_id="try-format",
                )  # fmt: skip
                export = gr.Button(word("try.export"), elem_id="try-export")
                exported = gr.File(label=word("try.download"), visible=False, elem_id="try-download")
                compared = gr.HTML(elem_id="try-forms")
                with gr.Group(visible=not actions.hosted):
                    repo = gr.Textbox(label=word("try.repo"), info=word("try.repo.info"), placeholder="ORG/NAME",
                                      max_lines=1, elem_id="try-repo")  # fmt: skip
                    public = gr.Checkbox(False, label=word("try.public"), elem_id="try-public")
                    push = gr.Button(word("try.push"), elem_id="try-push")
                    pushed = gr.Markdown(elem_id="try-pushed")
                served_by = gr.Code(language="shell", label=word("try.serve"), elem_id="try-serve", interactive=False)
                use = gr.Code(language="python", label="Python", elem_id="try-python", interactive=False)

    webcam.build(actions, checkpoint)
    tools.build(shared, tab, checkpoint, photo)

    @guarded
    def listing(current: str | None) -> Any:
        named = actions.checkpoints()
        ids = [name for _, name in named]
        return gr.Dropdown(named, value=current if current in ids else (ids[0] if ids else None))

    @guarded
    def chosen(name: str | None, request: gr.Request) -> Any:
        if not name:
            return "", "", gr.Button(visible=False), ""
        manifest = actions.store.checkpoint(name).manifest
        parent, language = manifest.lineage.get("parent"), language_of(request)
        back = say("try.undo", language, name=parent) if parent else ""
        undoes = gr.Button(back, visible=bool(parent))
        return f"python launch.py serve {name}", _python(name), undoes, care(manifest.task, language)

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

    @guarded
    def write(name: str | None, chosen_kind: str, request: gr.Request) -> Any:
        if not name:
            raise UsageError(say("try.none", language_of(request)))
        report = actions.export(name, chosen_kind)
        files = [served(Path(report["folder"]) / file) for file in report["files"]]
        return gr.File(files, visible=True), _forms(report["forms"], language_of(request))

    @guarded
    def send(name: str | None, chosen_kind: str, to: str, open_to_all: bool, request: gr.Request) -> str:
        if not name:
            raise UsageError(say("try.none", language_of(request)))
        return say("try.pushed", language_of(request), url=actions.push(name, chosen_kind, to, open_to_all))

    private = {"api_visibility": "private"}
    tab.select(listing, [checkpoint], [checkpoint], show_progress="hidden", **private)
    checkpoint.change(chosen, [checkpoint], [served_by, use, undo, mind], show_progress="hidden", **private)
    for event in (photo.change, checkpoint.change):
        event(
            look,
            [checkpoint, photo],
            [answer, remark, nearest, drawn],
            concurrency_id="device",
            concurrency_limit=1,
            **private,
        )
    undo.click(go_back, [checkpoint], [checkpoint], show_progress="hidden", **private)
    export.click(write, [checkpoint, kind], [exported, compared], concurrency_id="device", **private)
    push.click(send, [checkpoint, kind, repo, public], [pushed], concurrency_id="device", **private)


def _said(answer: Any, drawn: bool, language: str) -> str:
    """What an answer says in words, beside its drawing where there is one."""
    key, values = answer.remark or ("", {})
    sentence = say(key, language, **values) if key else ""
    return f"{sentence} {answer.said() if drawn else ''}".strip()


def _forms(rows: list[dict[str, Any]], language: str) -> str:
    """A smaller form beside float; empty where nothing was compared."""
    if not rows:
        return ""
    return html.table(
        {"name": "forms", "columns": list(rows[0]), "rows": [list(row.values()) for row in rows]}, language
    )


def _python(name: str) -> str:
    return (
        f'from studio import load_checkpoint\n\nmodel = load_checkpoint("{name}")\nprint(model.predict(["photo.jpg"]))'
    )
