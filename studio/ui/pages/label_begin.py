"""Begin a project: where its images are, what is said of each, and by which classes."""

from pathlib import Path
from typing import Any

import gradio as gr

from studio.core.errors import UsageError
from studio.data.specs import require_allowed
from studio.label.desk import start
from studio.store.labelling import KINDS, projects
from studio.ui import labelling
from studio.ui.catalogue import language_of, say, word
from studio.ui.guard import guarded, inform


def build(actions: Any, project: Any) -> Any:
    """The panel, open as the page opens; a project that is begun becomes the chosen `project`."""
    with gr.Accordion(word("labelling.begin"), open=True, elem_id="label-begin") as panel, gr.Row():
        with gr.Column(min_width=260):
            zipped = gr.File(
                label=word("labelling.zip"), file_types=[".zip"], file_count="single", height=130, elem_id="label-zip"
            )
            keep = gr.Checkbox(False, label=word("labelling.keep"), elem_id="label-keep")
        with gr.Column(min_width=260):
            written = gr.Textbox(
                label=word("labelling.data"), info=word("labelling.data.info"), max_lines=1, elem_id="label-data",
                visible=not actions.hosted,
            )  # fmt: skip
            name = gr.Textbox(label=word("labelling.name"), max_lines=1, elem_id="label-name")
        with gr.Column(min_width=260):
            kind = gr.Radio(
                [(word(f"labelling.kind.{one}"), one) for one in KINDS], value="classes", label=word("labelling.kind"),
                elem_id="label-kind",
            )  # fmt: skip
            classes = gr.Textbox(
                label=word("labelling.classes"), info=word("labelling.classes.info"), max_lines=1,
                elem_id="label-classes",
            )  # fmt: skip
            begin = gr.Button(word("labelling.begin.button"), variant="primary", elem_id="label-begin-button")

    @guarded
    def begin_project(
        file: str | None, keeps: bool, data: str, wanted: str, chosen_kind: str, named: str, request: gr.Request
    ) -> tuple[Any, ...]:
        if not file and not (data or "").strip():
            raise UsageError(say("labelling.no_data", language_of(request)))
        given = actions.take_zip(file) if file else data.strip()
        spec = given if keeps or not file else f"images:{given.partition(':')[2]}"
        require_allowed(spec, actions.home.rights)
        title = labelling.free_name(wanted.strip() or Path(file or data).stem, projects(actions.home))
        start(title, spec, chosen_kind, [one.strip() for one in named.split(",") if one.strip()], actions.home)
        inform(say("labelling.begun", language_of(request), name=title), seconds=4)
        return gr.Dropdown(projects(actions.home), value=title), gr.Accordion(open=False), None, ""

    begin.click(
        begin_project, [zipped, keep, written, name, kind, classes], [project, panel, zipped, name],
        api_visibility="private",
    )  # fmt: skip
    return panel
