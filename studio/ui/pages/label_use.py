"""What becomes of labels: train on them, list the doubtful ones, take them away in a format of others."""

from typing import Any

import gradio as gr

from studio.core.errors import DataError
from studio.data.writers import formats
from studio.ui import forms, labelling
from studio.ui.catalogue import language_of, say, word
from studio.ui.events import LATEST
from studio.ui.files import served
from studio.ui.guard import guarded, inform
from studio.ui.pages.data import with_data
from studio.ui.tabs import then_open

FORMATS = ("folders", "coco", "voc", "yolo", "masks")


class LabelUse:
    """The row below the desk. `doubted` lists images whose label is likely wrong; `outputs` is what `opened` fills."""

    def __init__(self, shared: Any, project: Any) -> None:
        self.shared, self.actions = shared, shared.actions
        with gr.Row(visible=False) as self.row:
            train = gr.Button(word("labelling.train"), variant="primary", elem_id="label-train")
            doubt = gr.Button(word("labelling.doubt"), elem_id="label-doubt")
            with gr.Column(min_width=240):
                self.format = gr.Dropdown(
                    _choices(FORMATS), value="folders", label=word("labelling.format"), elem_id="label-format"
                )
                export = gr.Button(word("labelling.export"), elem_id="label-export")
        self.doubted = gr.Dropdown([], label=word("labelling.doubted"), visible=False, elem_id="label-doubted")
        self.exported = gr.File(label=word("labelling.download"), visible=False, elem_id="label-download")
        self.outputs = [self.row, self.format, self.doubted, self.exported]
        private = {"api_visibility": "private"}
        device = {"concurrency_id": "device", "concurrency_limit": 1}
        form = shared.form
        then_open(form.filled_by(train.click, self._train_on, [form.entry, project], form.filled), "train")
        found = gr.State(("", []))
        doubting = doubt.click(self._find_doubts, [project], [found], show_progress_on=[doubt], **private, **device)
        doubting.success(self._list_doubts, [project, found], [self.doubted], **LATEST)
        export.click(self._write_out, [project, self.format], [self.exported], **private)

    def opened(self, kind: str | None) -> tuple[Any, ...]:
        """The row for a project of this kind; None where none is open."""
        closed = gr.Dropdown([], value=None, visible=False), gr.File(visible=False)
        if kind is None:
            return gr.Row(visible=False), gr.skip(), *closed
        fitting = formats({"classes": "labels"}.get(kind, kind))
        return gr.Row(visible=True), gr.Dropdown(_choices(fitting), value=fitting[0]), *closed

    @guarded
    def _train_on(self, sent: str, project: str | None, request: gr.Request) -> list[Any]:
        desk = self._desk(project)
        language, report = language_of(request), labelling.report_of(desk)
        if report["truth"] == "labels" and len(report["classes"]) < 2:
            raise DataError(say("labelling.one_class", language))
        screen = with_data(forms.read_screen(sent), desk.spec, report)
        return self.shared.form.fill(screen, language)

    @guarded
    def _find_doubts(self, project: str | None, request: gr.Request) -> tuple[str | None, list[tuple[str, str]]]:
        doubts = self._desk(project).doubts(budget=labelling.DOUBT_BUDGET)
        language = language_of(request)
        if not doubts:
            inform(say("labelling.no_doubts", language), seconds=6)
        choices = [
            (say("labelling.doubtful", language, image=one.image, label=one.label, likelier=one.likelier,
                 score=round(100 * one.likelier_score)), one.image)
            for one in doubts
        ]  # fmt: skip
        return project, choices

    @guarded
    def _list_doubts(self, project: str | None, found: tuple[str | None, list[tuple[str, str]]]) -> Any:
        """Nothing where another project was chosen meanwhile."""
        of, choices = found
        if of != project:
            return gr.skip()
        return gr.Dropdown(choices, value=choices[0][1] if choices else None, visible=bool(choices))

    @guarded
    def _write_out(self, project: str | None, written_as: str) -> Any:
        return gr.File(served(labelling.zip_of(self.actions.home, self._desk(project), written_as)), visible=True)

    def _desk(self, project: str | None) -> Any:
        return self.actions.desks.get(self.actions.home, project or "")


def _choices(names: Any) -> list[tuple[Any, str]]:
    return [(word(f"labelling.format.{name}"), name) for name in names]
