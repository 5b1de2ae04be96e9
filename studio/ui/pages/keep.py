"""Keep it: a checkpoint written in another form, pushed to a hub, served, or opened in Python."""

from pathlib import Path
from typing import Any

import gradio as gr

from studio.core.errors import UsageError
from studio.runs.export import WRITERS
from studio.ui import html
from studio.ui.catalogue import language_of, say, word
from studio.ui.files import served
from studio.ui.guard import guarded


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

    device = {"concurrency_id": "device", "api_visibility": "private"}
    export.click(write, [checkpoint, kind], [exported, compared], **device)
    push.click(send, [checkpoint, kind, repo, public], [pushed], **device)
    return served_by, use


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
