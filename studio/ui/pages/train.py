"""Train: choose a preset, change what matters, see the command, start, watch."""

import shlex
from html import escape
from typing import Any

import gradio as gr
import pandas as pd

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import StudioError
from studio.core.own_data import FITTED
from studio.ui import forms, html
from studio.ui.catalogue import language_of, say, word
from studio.ui.guard import guarded

EVERY_S = 1.0
KEYS = ("data.train", *forms.SIMPLE, *forms.MORE)


def build(shared: Any) -> list[Any]:
    """Lays the tab out; returns the components that `refill` fills."""
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            preset = gr.Dropdown(
                _presets(shared),
                value=None,
                label=word("train.preset"),
                info=word("train.preset.info"),
                elem_id="train-preset",
            )
            method = gr.Dropdown(_methods(), label=word("train.method"), elem_id="train-method")
            about = gr.Markdown(elem_id="train-about")
            inputs = _fields(shared)
            with gr.Accordion(word("train.params"), open=False, elem_id="train-params"):

                @gr.render(inputs=[method, shared.recipe], triggers=[method.change])
                def show_params(method_id: str, values: dict[str, Any], request: gr.Request) -> None:
                    _params(shared, method_id, values, language_of(request))

        with gr.Column(scale=6, min_width=320):
            start = gr.Button(word("train.start"), variant="primary", size="lg", elem_id="train-start")
            with gr.Row():
                stop = gr.Button(word("train.stop"), elem_id="train-stop", size="sm")
                resume = gr.Button(word("train.resume"), elem_id="train-resume", size="sm")
            _watch(shared)
            with gr.Accordion(word("train.same"), open=False, elem_id="train-same"):
                command = gr.Code(
                    language="shell", label=word("train.command"), elem_id="train-command", interactive=False
                )
                text = gr.Code(language="yaml", label="YAML", elem_id="train-yaml", interactive=False)
    filled = [preset, method, about, *inputs, command, text]
    _events(shared, preset, method, about, inputs, command, text, start, stop, resume, filled)
    return filled


def refill(values: dict[str, Any]) -> list[Any]:
    """Every field of the tab from the recipe so far."""
    method = forms.value_of(values, "method")
    shown = forms.relevant(method)
    inputs = [gr.update(value=_shown(values, key), visible=key not in forms.SOMETIMES or key in shown) for key in KEYS]
    return [gr.skip(), method, _about(method), *inputs, _command(values), _yaml(values)]


def _shown(values: dict[str, Any], key: str) -> Any:
    value = forms.value_of(values, key)
    return "" if value is None and not forms.is_number(key) else value


def _fields(shared: Any) -> list[Any]:
    inputs = {"data.train": forms.recipe_field("data.train")}
    backbone = forms.field("model.backbone")
    names = [row["name"] for row in registry.backbones() if row.get("usable")]
    inputs["model.backbone"] = gr.Dropdown(
        names, value=forms.default("model.backbone"), allow_custom_value=True, label=forms.label("model.backbone"),
        info=forms.hint("model.backbone", backbone.description), elem_id="field-model-backbone",
    )  # fmt: skip
    with gr.Row():
        for key in forms.SIMPLE[1:]:
            inputs[key] = forms.recipe_field(key)
    with gr.Accordion(word("train.more"), open=False, elem_id="train-more"), gr.Row():
        for key in forms.MORE:
            inputs[key] = forms.recipe_field(key)
    return [inputs[key] for key in KEYS]


def _params(shared: Any, method_id: str, values: dict[str, Any], language: str) -> None:
    given = (values or {}).get("params", {})
    form = forms.params_form(method_id, given, language)
    if not form:
        gr.Markdown(word("train.no_params"))
    for name, component in form.items():
        event = component.change if isinstance(component, gr.Checkbox) else component.input
        event(
            _setter(f"params.{name}"),
            [shared.recipe, component],
            [shared.recipe],
            show_progress="hidden",
            api_visibility="private",
        )


def _events(
    shared: Any,
    preset: Any,
    method: Any,
    about: Any,
    inputs: list[Any],
    command: Any,
    text: Any,
    start: Any,
    stop: Any,
    resume: Any,
    filled: list[Any],
) -> None:
    private = {"api_visibility": "private", "show_progress": "hidden"}

    @guarded
    def choose(name: str, values: dict[str, Any]) -> Any:
        if not name:
            return gr.skip()
        chosen = recipes.read_yaml(recipes.find_preset(name, shared.desk.home))
        data = (values or {}).get("data", {}).get("train", "")
        task = registry.task_named(chosen.get("task", "classify"))
        labelled = task.truth == "labels" and "data.train" in recipes.fields_of(task.name)
        if data and not data.startswith("builtin:") and labelled:
            recipes.override(chosen, {"data.train": data})
        return chosen

    @guarded
    def set_method(method_id: str, values: dict[str, Any]) -> Any:
        changed = {**(values or {}), "method": method_id, "task": registry.get(method_id).task}
        changed.pop("params", None)
        return forms.of_task(changed)

    @guarded
    def begin(values: dict[str, Any], request: gr.Request) -> Any:
        run_id = shared.desk.start(values)
        gr.Info(say("train.started", language_of(request), run=run_id), duration=4)
        return run_id

    @guarded
    def ask_stop(run_id: str, request: gr.Request) -> None:
        if run_id:
            shared.desk.stop(run_id)
            gr.Info(say("train.stopping", language_of(request)), duration=4)

    @guarded
    def go_on(run_id: str) -> None:
        if run_id:
            shared.desk.resume(run_id)

    preset.input(choose, [preset, shared.recipe], [shared.recipe], **private).then(
        refill, [shared.recipe], filled, **private
    )
    method.input(set_method, [method, shared.recipe], [shared.recipe], **private).then(
        refill, [shared.recipe], filled, **private
    )
    for key, component in zip(KEYS, inputs, strict=True):
        component.input(_setter(key), [shared.recipe, component], [shared.recipe], **private)
    shared.recipe.change(
        lambda values: (_command(values), _yaml(values), forms.value_of(values or {}, "data.train") or ""),
        [shared.recipe],
        [command, text, inputs[0]],
        **private,
    )
    start.click(begin, [shared.recipe], [shared.run], api_visibility="private", concurrency_limit=2)
    stop.click(ask_stop, [shared.run], None, **private)
    resume.click(go_on, [shared.run], None, **private)


def _setter(key: str) -> Any:
    @guarded
    def set_value(values: dict[str, Any], value: Any) -> dict[str, Any]:
        return forms.put(values or {}, key, value)

    return set_value


def _watch(shared: Any) -> None:
    """The live view of the run being watched; it polls the store and owns nothing."""
    state = gr.HTML(elem_id="run-state")
    curves = gr.LinePlot(
        x="step", y="value", color="name", height=260, visible=False, elem_id="run-curves", label=word("train.curves")
    )
    pictures = gr.Gallery(
        columns=2,
        height=420,
        visible=False,
        elem_id="run-figures",
        object_fit="contain",
        label=word("train.pictures"),
        buttons=["fullscreen", "download"],
    )
    seen = gr.State(())
    timer = gr.Timer(EVERY_S)

    @guarded
    def tick(run_id: str, before: Any, request: gr.Request) -> Any:
        if not run_id:
            return (
                html_hint(language_of(request)) if before != ("none",) else gr.skip(),
                gr.skip(),
                gr.skip(),
                ("none",),
            )
        try:
            view = shared.desk.view(run_id)
        except StudioError as error:
            return (
                f"<div class='error-box'>{escape(str(error))}</div>",
                gr.LinePlot(visible=False),
                gr.Gallery(visible=False),
                ("gone",),
            )
        mark = (run_id, view.end, view.status)
        if tuple(before) == mark:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        frame = pd.DataFrame(view.scalars, columns=["step", "value", "name"])
        plot = gr.LinePlot(frame, visible=len(frame) > 1)
        return (
            html.run_state(view, language_of(request)),
            plot,
            gr.Gallery(view.figures, visible=bool(view.figures)),
            mark,
        )

    timer.tick(
        tick, [shared.run, seen], [state, curves, pictures, seen],
        show_progress="hidden", concurrency_limit=None, trigger_mode="once", api_visibility="private",
    )  # fmt: skip


def html_hint(language: str) -> str:
    return f"<div class='card'>{escape(say('train.idle', language))}</div>"


def _presets(shared: Any) -> list[str]:
    return sorted(recipes.presets(shared.desk.home))


def _methods() -> list[tuple[str, str]]:
    return [(f"{cls.id}  ·  {cls.title}" if cls.title else cls.id, cls.id) for cls in registry.methods()]


def _about(method_id: str) -> str:
    try:
        facts = registry.describe(registry.get(method_id))
    except StudioError:
        return ""
    first = facts["about"].split("\n\n")[0].replace("\n", " ")
    return f"{first}\n\n*{facts['paper']}*" if facts["paper"] else first


def _command(values: dict[str, Any]) -> str:
    """The command line that does the same: the quickstart preset with every difference set."""
    try:
        recipe = recipes.parse(values or {})
    except StudioError as error:
        return f"# {error}"
    base = _flatten(recipes.load("quickstart").model_dump(exclude={"about"}))
    flat = _flatten(recipe.model_dump(exclude={"about"}))
    changed = {key: value for key, value in flat.items() if base.get(key) != value}
    if any(key.startswith("data.") for key in changed):  # what fits quickstart's own data would not stay with other
        changed |= {key: flat[key] for key in FITTED}
    texts = {key: "null" if value is None else value for key, value in changed.items()}
    return " ".join(
        ["python launch.py run quickstart", *(f"--set {shlex.quote(f'{key}={value}')}" for key, value in texts.items())]
    )


def _yaml(values: dict[str, Any]) -> str:
    try:
        return recipes.to_yaml(recipes.parse(values or {}))
    except StudioError as error:
        return f"# {error}"


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
