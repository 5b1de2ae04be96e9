"""The live view of the run being watched: it polls the store and owns nothing.

Status, curves and images are three events: where one fails, it says so in its own place, and the others go on.
"""

import logging
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.ui import curves, display_names, html
from studio.ui.catalogue import language_of, say, word
from studio.ui.files import served
from studio.ui.tabs import opens
from studio.ui.views import View

_log = logging.getLogger("studio.ui")


def build(shared: Any) -> None:
    state = gr.HTML(elem_id="run-state")
    plots = [gr.HTML(elem_id=name, padding=False) for name in ("run-losses", "run-scores")]
    curves_fault = gr.HTML(elem_id="run-curves-fault", visible=False)
    figures = gr.Gallery(
        columns=2, height="auto", visible=False, elem_id="run-figures", object_fit="contain",
        label=word("train.figures"), buttons=["fullscreen", "download"],
    )  # fmt: skip
    figures_fault = gr.HTML(elem_id="run-figures-fault", visible=False)
    seen, points, drawn = gr.State(()), gr.State(()), gr.State(())  # how far each part has come

    def status(run_id: str, before: Any, request: gr.Request) -> Any:
        language = language_of(request)
        if not run_id:
            idle = f"<div class='card'>{escape(say('train.idle', language))}</div>"
            return (gr.skip() if before == ("none",) else idle), "", ("none",), (), ()
        try:
            return look(run_id, tuple(before), language)
        except Exception as error:
            return _fault(error, language), "", ("gone",), (), ()

    def look(run_id: str, before: tuple[Any, ...], language: str) -> Any:
        view = shared.actions.view(run_id)
        mark = (run_id, view.end, view.status, view.place)
        if before == mark:
            return (gr.skip(),) * 5
        curve = (run_id, len(view.scalars), max((point["step"] for point in view.scalars), default=0))
        images = (run_id, *map(_stamp, view.figures))
        return html.run_state(view, language), html.banner(view, language), mark, curve, images

    def part(draw: Callable[[View, str], list[Any]], hidden: list[Any]) -> Any:
        def redraw(run_id: str, request: gr.Request) -> list[Any]:
            try:
                drawn = draw(shared.actions.view(run_id), language_of(request)) if run_id else hidden
                return [*drawn, gr.HTML(visible=False)]
            except Exception as error:
                return [*hidden, gr.HTML(_fault(error, language_of(request)), visible=True)]

        return redraw

    quiet = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
    outputs = [state, shared.banner, seen, points, drawn]
    shared.timer.tick(status, [shared.run, seen], outputs, trigger_mode="once", **quiet)
    shared.banner.click(**opens("train"))
    for mark, draw, targets, fault, hidden in (
        (points, _curves, plots, curves_fault, ["", ""]),
        (drawn, _figures, [figures], figures_fault, [gr.update(visible=False)]),
    ):
        mark.change(part(draw, hidden), [shared.run], [*targets, fault], trigger_mode="always_last", **quiet)


def _stamp(figure: tuple[str, str]) -> tuple[str, int]:
    """Tells a figure from what it was when it was drawn last."""
    try:
        return figure[0], Path(figure[0]).stat().st_mtime_ns
    except OSError:
        return figure[0], 0


def _curves(view: View, language: str) -> list[str]:
    """Losses, and what is better the higher it is, each on an axis of its own."""
    by_name: dict[str, list[tuple[float, float]]] = {}
    for point in view.scalars:
        by_name.setdefault(point["name"], []).append((point["step"], point["value"]))
    losses = {name: points for name, points in by_name.items() if "train/" in name or "loss" in name}
    scores = {name: points for name, points in by_name.items() if name not in losses}
    judged = scores.pop("val/score", None)  # often another curve over again, which it would hide
    if judged and not any(_alike(judged, points) for points in scores.values()):
        scores["val/score"] = judged
    return [_drawn(losses, "losses", view, language), _drawn(scores, "scores", view, language)]


def _drawn(by_name: dict[str, Any], title: str, view: View, language: str) -> str:
    """Nothing while there is no more than a point of each."""
    if all(len(points) < 2 for points in by_name.values()):
        return ""
    called = {display_names.curve(name, view.task, language): points for name, points in by_name.items()}
    return curves.draw(called, say(f"train.{title}", language))


def _alike(left: list[tuple[float, float]], right: list[tuple[float, float]]) -> bool:
    """The same steps, and values that no eye tells apart."""
    return len(left) == len(right) and all(
        ours[0] == theirs[0] and abs(ours[1] - theirs[1]) < 1e-3 for ours, theirs in zip(left, right, strict=True)
    )


def _figures(view: View, language: str) -> list[Any]:
    return [gallery(view, language)]


def gallery(view: View, language: str) -> Any:
    """The figures of a run, each with what it is called; hidden where there is none."""
    captioned = [(served(path), display_names.figure(name, language)) for path, name in view.figures]
    return gr.Gallery(captioned, visible=bool(captioned))


def _fault(error: Exception, language: str) -> str:
    _log.warning("a part of the live view failed", exc_info=error)
    sentence = say("run.part_failed", language, why=str(error) or type(error).__name__)
    return f"<div class='error-box'>{escape(sentence)}</div>"
