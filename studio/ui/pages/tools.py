"""Tools below Try it: what can be done with the chosen checkpoint beyond asking it, each drawn from its inputs."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from studio.core import registry
from studio.core.errors import UsageError
from studio.core.recipe import members_of
from studio.core.tool import Bench, Tool, ToolResult, kind_of
from studio.data.files.video import CONTAINERS
from studio.runs.tools import fitting, tools, use
from studio.store.outputs import Outputs
from studio.ui import forms, html
from studio.ui.actions import Actions
from studio.ui.catalogue import language_of, say, word
from studio.ui.events import LATEST
from studio.ui.files import served
from studio.ui.guard import guarded

ROWS = 200  # of a table, as many as are shown; all of them are kept as CSV
NEEDED = {
    "image": "tool.photo",
    "film": "tool.film",
    "class": "tool.class",
    "points": "tool.points",
}  # and what is said where it is missing


def build(shared: Any, checkpoint: Any, photo: Any) -> gr.State:
    """An accordion for each tool that fits the chosen checkpoint, and below them the place where a result is shown.

    They are made once a checkpoint is chosen: a page opens the faster the fewer components it has. They are made anew
    where it changes, or what there is `beside` it to choose from, and not for less: what they were given would be lost.
    That is the state which is returned. Images are the photo of Try it.
    """
    actions, clicked, beside = shared.actions, _clicks(photo), gr.State((None, ()))

    @gr.render([checkpoint], triggers=[beside.change], show_progress="hidden")
    @guarded
    def offer(name: str | None) -> None:
        manifest = actions.store.checkpoint(name).manifest if name else None
        for tool in fitting(manifest) if manifest else ():
            panel(tool, manifest)

    def panel(tool: Tool, manifest: Any) -> None:
        named = {"key": tool.name, "elem_id": f"tool-{tool.name}", "elem_classes": f"of-{manifest.id}"}
        with gr.Accordion(word(f"tool.{tool.name}"), open=False, **named):
            gr.Markdown(word(f"tool.{tool.name}.about"))
            with gr.Row():
                controls = {
                    name: photo if kind == "image" else _control(tool, name, _choices(actions, tool, kind, manifest))
                    for name, kind in _kinds(tool)
                }
            for name, kind in _kinds(tool):
                if kind == "images":
                    _take_zip(actions, tool, name, controls[name])
            _follow_clicks(clicked, [controls[name] for name, kind in _kinds(tool) if kind == "points"])
            button = gr.Button(word(f"tool.{tool.name}"), elem_id=f"tool-{tool.name}-use")
        _use(actions, tool, checkpoint, controls, button, results)

    results = _result()
    *_, made = results

    @guarded
    def go_on(name: str) -> Any:
        return gr.Dropdown(actions.checkpoints(), value=name) if name else gr.skip()

    @guarded
    def all_beside(name: str | None) -> Any:
        if not name:
            return None, ()
        actions.store.checkpoint(name)  # is refused where it is another visitor's
        return name, tuple(other for _, other in actions.checkpoints())

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    made.change(go_on, [made], [checkpoint], **quiet)
    checkpoint.change(all_beside, [checkpoint], [beside], **quiet)
    return beside


def add_endpoints(actions: Actions) -> None:
    """Each tool as an endpoint for scripts; their inputs and outputs are components, which nobody sees."""
    with gr.Row(visible=False):
        checkpoint = gr.Textbox(label="checkpoint", elem_id="api-tool-checkpoint")
        photo = gr.Image(type="pil", label="image", elem_id="api-tool-photo")
        results = _result("api-tool")
        for tool in tools():
            controls = [
                photo if kind == "image" else _control(tool, name, [], "api-tool") for name, kind in _kinds(tool)
            ]
            gr.on(
                [], guarded(_handler(actions, tool)), [checkpoint, *controls], results,
                concurrency_id="device", api_name="tool_" + tool.name.replace("-", "_"),
            )  # fmt: skip


def _choices(actions: Actions, tool: Tool, kind: str | None, manifest: Any) -> list[Any]:
    """What an input of this kind may be, for a checkpoint with this manifest."""
    if kind == "checkpoint":
        names = [other for other in actions.checkpoints() if other[1] != manifest.id]
        return [("", ""), *_that_fit(actions, tool, names)]
    return list(manifest.classes) if kind in ("class", "classes") else []


def _that_fit(actions: Any, tool: Tool, names: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(label, name) for label, name in names if tool.fits_beside(actions.store.checkpoint(name).manifest)]


def _kinds(tool: Tool) -> list[tuple[str, str | None]]:
    """The inputs of a tool, each with its kind."""
    return [(name, kind_of(info)) for name, info in tool.Inputs.model_fields.items()]


def _result(key: str = "tool") -> list[Any]:
    """Where whatever tool was used last says and shows what came out; the last of these names a new checkpoint."""
    return [
        gr.Markdown(elem_id=f"{key}-remark"),
        gr.Image(label=word("tool.drawn"), visible=False, interactive=False, format="png", elem_id=f"{key}-image"),
        gr.Video(label=word("tool.drawn"), visible=False, height=480, elem_id=f"{key}-watched"),
        gr.Dataframe(visible=False, interactive=False, elem_id=f"{key}-table"),
        gr.HTML(elem_id=f"{key}-csv", elem_classes="run-table", padding=False),
        gr.Gallery(
            label=word("tool.drawn"),
            visible=False,
            columns=4,
            height=420,
            elem_id=f"{key}-images",
            object_fit="contain",
            buttons=["fullscreen"],
        ),
        gr.Textbox(visible="hidden", elem_id=f"{key}-made", elem_classes="unseen"),
    ]


def _use(
    actions: Actions, tool: Tool, checkpoint: Any, controls: dict[str, Any], button: Any, results: list[Any]
) -> None:  # fmt: skip
    """A click on its button uses a tool, and so does what of its controls is let go or chosen from several."""
    moved = [control.release for control in controls.values() if isinstance(control, gr.Slider)]
    moved += [controls[name].input for name, kind in _kinds(tool) if kind == "classes"]
    gr.on(
        [button.click, *moved], guarded(_handler(actions, tool)), [checkpoint, *controls.values()], results,
        concurrency_id="device", **LATEST,
    )  # fmt: skip


def _take_zip(actions: Actions, tool: Tool, name: str, box: Any) -> None:
    """A button that takes a zip of images, whose data spec is then in the box."""
    key = f"tool-{tool.name}-{name}-zip"
    given = gr.UploadButton(word("tool.zip"), file_types=[".zip"], size="sm", key=key, elem_id=key)
    given.upload(guarded(actions.take_images), [given], [box], show_progress="hidden", api_visibility="private")


def _clicks(photo: Any) -> Any:
    """What was last done to the photo: (count, x, y) after a click on it, in pixels, and (count,) after another photo.

    A state of its own, because what is rendered may listen to no event of the photo: Gradio then forgets everybody else
    who listens to the same event.
    """
    clicked = gr.State((0,))
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    photo.select(guarded(count_click), [clicked], [clicked], trigger_mode="multiple", **quiet)
    photo.change(lambda last: (last[0] + 1,), [clicked], [clicked], **quiet)
    return clicked


def count_click(last: tuple[float, ...], at: gr.SelectData) -> tuple[float, ...]:
    """The count tells two clicks at one place apart: a state that stays the same is heard by nobody."""
    return (last[0] + 1, *at.index)


def _follow_clicks(clicked: Any, boxes: list[Any]) -> None:
    """Clicks on the photo are points of the first of these boxes; another photo empties them all."""
    if not boxes:
        return

    def follow(last: tuple[float, ...], *written: str) -> Any:
        place = last[1:]
        points = [add_point(written[0], place), *written[1:]] if place else [""] * len(boxes)
        return points if len(boxes) > 1 else points[0]

    clicked.change(guarded(follow), [clicked, *boxes], boxes, show_progress="hidden", api_visibility="private")


def add_point(points: str, place: Sequence[float]) -> str:
    """The points written so far, and the one that was clicked at."""
    return ", ".join(filter(None, [points, *(f"{side:.0f}" for side in place)]))


def _control(tool: Tool, name: str, known: list[Any], key: str = "tool") -> Any:
    """The box for an input; `known` are its choices, where these follow the checkpoint."""
    info = tool.Inputs.model_fields[name]
    shown = {
        "label": word(f"tool.{tool.name}.{name}"), "elem_id": f"{key}-{tool.name}-{name}", "min_width": 160,
        "key": f"{key}-{tool.name}-{name}", "interactive": True,
    }  # fmt: skip
    kind, members = kind_of(info), members_of(info.annotation)
    if kind == "other-image":
        return gr.Image(type="pil", image_mode="RGB", height=200, sources=["upload", "clipboard"], **shown)
    if kind == "film":
        return gr.File(file_types=list(CONTAINERS), **shown)
    if kind in ("checkpoint", "class"):
        return gr.Dropdown(known, value="", allow_custom_value=True, **shown)
    if kind == "classes":
        return gr.Dropdown(known, value=[], multiselect=True, **shown)
    if options := forms.choices(info.annotation):
        return gr.Dropdown([("", "") if option is None else option for option in options], value="", **shown)
    if bool in members:
        return gr.Checkbox(bool(info.default), **shown)
    limits = registry.describe_field(name, info)["range"]
    if float in members and {"ge", "le"} <= limits.keys():
        return gr.Slider(limits["ge"], limits["le"], info.default, **shown)
    if members & {int, float}:
        return gr.Number(info.default, precision=0 if float not in members else None, **shown)
    return gr.Textbox("" if info.is_required() else forms.to_text(info.default), max_lines=1, **shown)


def _handler(actions: Any, tool: Tool) -> Callable[..., Any]:
    fields = tool.Inputs.model_fields

    def act(request: gr.Request, name: str | None, *values: Any) -> tuple[Any, ...]:
        language = language_of(request)
        if not name:
            raise UsageError(say("try.none", language))
        given = dict(zip(fields, values, strict=True))
        for field, info in fields.items():
            if kind_of(info) in NEEDED and info.is_required() and not given[field]:
                raise UsageError(say(NEEDED[kind_of(info)], language))
            if given[field] == "":
                given[field] = None
            elif isinstance(given[field], str) and kind_of(info) in (None, "images", "points"):
                given[field] = forms.from_text(info.annotation, given[field])
        bench = Bench(actions.model, actions.teach, actions.home)
        return _shown(actions, tool, use(tool, actions.store.checkpoint(name), given, bench), language)

    act.__doc__ = tool.about
    return act


def _shown(actions: Any, tool: Tool, result: ToolResult, language: str) -> tuple[Any, ...]:
    written = None
    if result.write_film is not None:
        written = served(Outputs(actions.home.exports).write(f"{tool.name}.mp4", result.write_film))
    key, values = result.remark or ("", {})
    columns = list(result.rows[0]) if result.rows else []
    rows = [[row.get(column) for column in columns] for row in result.rows]
    return (
        say(key, language, **values) if key else "",
        gr.Image(result.image, visible=result.image is not None),
        gr.Video(written, visible=written is not None),
        gr.Dataframe({"headers": columns, "data": rows[:ROWS]}, visible=bool(rows)),
        html.csv_links(tool.name, columns, rows, language) if rows else "",
        gr.Gallery(result.images, visible=bool(result.images)),
        result.checkpoint,
    )
