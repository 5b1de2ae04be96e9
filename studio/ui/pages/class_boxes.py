"""Photos by class: boxes of a name and its photos, from files or taken here with a webcam."""

from html import escape
from typing import Any

import gradio as gr

from studio.ui.catalogue import piece, say, word
from studio.ui.scripts import script

BOXES = 8


def build() -> tuple[list[gr.Textbox], list[gr.File]]:
    """The names and the files of the classes, `BOXES` of each; two at first, more by a button."""
    names, files, rows = [], [], []
    shown = gr.State(2)
    for start in range(0, BOXES, 2):
        with gr.Row(visible=start == 0) as row:
            for number in (start + 1, start + 2):
                with gr.Column(min_width=240):
                    names.append(
                        gr.Textbox(
                            label=word("data.class"),
                            placeholder=word("data.class.example"),
                            max_lines=1,
                            elem_id=f"class-name-{number}",
                        )
                    )
                    files.append(
                        gr.File(
                            label=word("data.photos"),
                            file_count="multiple",
                            file_types=["image"],
                            height=130,
                            elem_id=f"class-files-{number}",
                        )
                    )
        rows.append(row)
    more = gr.Button(word("data.more"), size="sm", elem_id="data-more-classes")

    def show_more(count: int) -> list[Any]:
        count = min(BOXES, count + 2)
        return [count, *(gr.Row(visible=2 * place < count) for place in range(len(rows)))]

    more.click(show_more, shown, [shown, *rows], show_progress="hidden", api_visibility="private")
    gr.HTML(piece("data.webcam.piece"), js_on_load=script("webcam_shots.js"), elem_id="data-webcam", padding=False)
    return names, files


def webcam(language: str) -> str:
    """A film of what the camera sees, with a button for each class; `webcam_shots.js` does the rest."""
    title, about, unnamed, refused = (
        escape(say(f"data.webcam{key}", language)) for key in ("", ".about", ".unnamed", ".refused")
    )
    return (
        f"<details data-part='panel'><summary>{title}</summary><p>{about}</p>"
        f"<video data-part='video' playsinline muted aria-label='{title}'></video>"
        f"<div data-part='classes' class='label-row'></div><p data-part='unnamed'>{unnamed}</p>"
        f"<p data-part='refused' class='error-box' hidden>{refused}</p></details>"
    )
