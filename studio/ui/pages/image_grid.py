"""The images of the data that were taken, page by page: by class, by split, by problem."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.runs.examine import Examined
from studio.runs.image_map import TILE, ImageMap
from studio.runs.image_table import PROBLEMS, ImageTable
from studio.ui import image_grid
from studio.ui.catalogue import language_of, say, word
from studio.ui.events import LATEST
from studio.ui.guard import guarded
from studio.ui.image_grid import Wanted
from studio.ui.scripts import script


@dataclass(frozen=True)
class Grid:
    """`outputs` are what `fill` gives for data that were just examined."""

    outputs: list[Any]
    fill: Any
    name: gr.State  # of what was examined


def build(shared: Any) -> Grid:
    examiner, actions = shared.actions.examiner, shared.actions
    everything = (word("images.all"), "")
    name, number, mapped = gr.State(""), gr.State(0), gr.State("")
    with gr.Column(visible=False, elem_id="data-images") as panel:
        with gr.Row():
            label, split, problem = (
                gr.Dropdown(
                    [everything], value="", label=word(f"images.{kind}"), elem_id=f"images-{kind}", min_width=150
                )
                for kind in ("class", "split", "problem")
            )
        drawn = gr.HTML(elem_id="images-grid", padding=False)
        with gr.Row(visible=False) as turning:
            back = gr.Button(word("images.back"), size="sm", elem_id="images-back", min_width=100)
            on = gr.Button(word("images.on"), size="sm", elem_id="images-on", min_width=100)
        draw_map = gr.Button(word("images.map"), elem_id="images-map-draw")
        photo_map = gr.HTML(
            html_template="<div></div>", js_on_load=script("image_map.js"), apply_default_css=False,
            elem_id="images-map", padding=False,
        )  # fmt: skip
        picked = gr.HTML(elem_id="images-picked", padding=False)
    page = [drawn, number, turning, back, on]
    outputs = [name, panel, label, split, problem, *page, photo_map, picked]

    def fill(examined: Examined, language: str) -> tuple[Any, ...]:
        """Outputs for data that were just examined: their first page, with nothing left out."""
        table = examiner.table(examined.name, actions.home)
        if table is None:  # feature vectors
            return (examined.name, gr.Column(visible=False), *[gr.skip()] * (len(outputs) - 2))
        every = (say("images.all", language), "")
        splits = [(name, name) for name in table.splits]
        found = [(f"{say(f'problem.{one}', language)} ({count})", one) for one, count in table.counts().items()]
        return (
            examined.name, gr.Column(visible=True),
            gr.Dropdown([every, *table.classes], value="", visible=len(table.classes) > 1),
            gr.Dropdown([every, *splits], value="", visible=bool(splits)),
            gr.Dropdown([every, *found], value="", visible=bool(found)), *turn(table, Wanted(), language), None, "",
        )  # fmt: skip

    def turn(table: Any, wanted: Wanted, language: str) -> tuple[Any, ...]:
        shown = image_grid.draw(table, wanted, language)
        first, last = shown.number == 0, shown.number == shown.pages - 1
        return (
            shown.html, shown.number, gr.Row(visible=shown.pages > 1),
            gr.Button(interactive=not first), gr.Button(interactive=not last),
        )  # fmt: skip

    def page_of(step: int) -> Any:
        @guarded
        def turn_page(examined: str, one: str, part: str, fault: str, at: int, request: gr.Request) -> tuple[Any, ...]:
            table = examiner.table(examined, actions.home)
            if table is None or (fault and fault not in PROBLEMS):
                return tuple([gr.skip()] * len(page))
            wanted = Wanted(one or None, part or None, fault or None, at + step if step else 0)
            return turn(table, wanted, language_of(request))

        return turn_page

    @guarded
    def map_images(examined: str) -> str:
        actions.image_map(examined)
        return examined

    @guarded
    def show_map(examined: str, made_of: str, request: gr.Request) -> Any:
        """Nothing where other data were taken meanwhile."""
        if made_of != examined:
            return gr.skip()
        table, made = examiner.table(examined, actions.home), actions.image_map(examined)
        return map_values(table, made, language_of(request)) if table and made else None

    @guarded
    def pick(examined: str, place: float, request: gr.Request) -> str:
        table = examiner.table(examined, actions.home)
        known = table is not None and 0 <= int(place) < len(table.rows)
        return f"<div class='images'>{image_grid.card(table, int(place), language_of(request))}</div>" if known else ""

    quiet = {"show_progress": "hidden", **LATEST}
    asked = [name, label, split, problem, number]
    gr.on([label.select, split.select, problem.select], page_of(0), asked, page, **quiet)
    back.click(page_of(-1), asked, page, **quiet)
    on.click(page_of(1), asked, page, **quiet)
    mapping = draw_map.click(map_images, [name], [mapped], show_progress_on=[photo_map], api_visibility="private")
    mapping.success(show_map, [name, mapped], [photo_map], **quiet)
    photo_map.picked(pick, [name, number], [picked], js="(name) => [name, window.studioPickedImage ?? -1]", **quiet)
    return Grid(outputs, fill, name)


def map_values(table: ImageTable, made: ImageMap, language: str) -> dict[str, Any]:
    """What `image_map.js` draws."""
    rows = [table.rows[place] for place in made.places]
    return {
        "places": made.places, "points": made.points, "colours": made.colours, "columns": made.columns, "tile": TILE,
        "tiles": made.tiles, "classes": table.classes, "names": [row.name for row in rows],
        "labels": [row.classes[0] if row.classes else -1 for row in rows],
        "about": say("images.map.about", language, count=len(rows)),
    }  # fmt: skip
