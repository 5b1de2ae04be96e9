"""Keep it: a checkpoint written in another form, pushed to a hub, served, or opened in Python."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from studio.core.errors import UsageError
from studio.runs.export import WRITERS
from studio.ui import html
from studio.ui.catalogue import language_of, say, word
from studio.ui.events import renewed
from studio.ui.files import served
from studio.ui.guard import guarded, inform


def build(actions: Any, checkpoint: Any) -> tuple[Any, Any]:
    """Two texts that `code_for` fills: how the checkpoint is served, and how Python opens it."""
    with gr.Accordion(word("try.keep"), open=False, elem_id="try-keep"):
        kind = gr.Radio(
            list(WRITERS), value="safetensors", label=word("try.format"), info=word("try.format.info"),
            elem_id="try-format",
        )  # fmt: skip
        export = gr.Button(word("try.export"), elem_id="try-export")
        exported = gr.File(label=word("try.download"), visible=False, elem_id="try-download")
        compared = gr.HTML(elem_id="try-forms")
        with gr.Group(visible=not actions.hosted):
            repo = gr.Textbox(
                label=word("try.repo"), info=word("try.repo.info"), placeholder="ORG/NAME", max_lines=1,
                elem_id="try-repo",
            )  # fmt: skip
            public = gr.Checkbox(False, label=word("try.public"), elem_id="try-public")
            push = gr.Button(word("try.push"), elem_id="try-push")
            pushed = gr.Markdown(elem_id="try-pushed")
        with gr.Row():
            name = gr.Textbox(
                placeholder=word("try.name"), show_label=False, max_lines=1, visible=not actions.hosted,
                elem_id="try-name", scale=3, min_width=220,
            )  # fmt: skip
            rename = gr.Button(
                word("try.rename"), size="sm", min_width=80, visible=not actions.hosted, elem_id="try-rename"
            )
            delete = gr.Button(word("try.delete"), size="sm", min_width=80, elem_id="try-delete")
        served_by = gr.Markdown(label=word("try.serve"), show_label=True, container=True, elem_id="try-serve")
        use = gr.Markdown(label="Python", show_label=True, container=True, elem_id="try-python")

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

    @guarded
    def give_name(chosen: str | None, wanted: str, request: gr.Request) -> Any:
        if not chosen:
            raise UsageError(say("try.none", language_of(request)))
        actions.name_checkpoint(chosen, wanted.strip())
        return renewed(actions.checkpoints(), chosen), ""

    @guarded
    def forget(chosen: str | None, request: gr.Request) -> Any:
        if not chosen:
            return gr.skip()
        actions.delete_checkpoint(chosen)
        inform(say("try.deleted", language_of(request), name=chosen), seconds=5)
        known = actions.checkpoints()
        return gr.Dropdown(known, value=known[0][1] if known else None)

    private = {"api_visibility": "private"}
    rename.click(give_name, [checkpoint, name], [checkpoint, name], **private)
    delete.click(forget, [checkpoint], [checkpoint], js=_asking("try.delete.sure"), **private)
    device = {"concurrency_id": "device", "api_visibility": "private"}
    export.click(write, [checkpoint, kind], [exported, compared], **device)
    push.click(send, [checkpoint, kind, repo, public], [pushed], **device)
    return served_by, use


def _asking(key: str) -> str:
    """In the browser: goes on with a checkpoint only where a person says yes."""
    english, chinese = (json.dumps(say(key, language)) for language in ("en", "zh"))
    question = f"(navigator.language.startsWith('zh') ? {chinese} : {english})"
    return f"(name) => [name && confirm(`${{{question}}} ${{name}}`) ? name : null]"


def code_for(checkpoint: str) -> tuple[str, str]:
    """The command that serves it, and the Python that opens it."""
    python = (
        f'from studio import load_checkpoint\n\nmodel = load_checkpoint("{checkpoint}")\n'
        'print(model.predict(["photo.jpg"]))'
    )
    return html.code(f"python launch.py serve {checkpoint}", "shell"), html.code(python, "python")


def _forms(rows: list[dict[str, Any]], language: str) -> str:
    """A smaller form beside float; empty where nothing was compared."""
    if not rows:
        return ""
    return html.table(
        {"name": "forms", "columns": list(rows[0]), "rows": [list(row.values()) for row in rows]}, language
    )
