"""Devices and storage: who holds what, how much lies where, and what may be cleaned up. For this machine's own user."""

from typing import Any

import gradio as gr

from studio.runs.holdings import Holdings
from studio.ui import html
from studio.ui.actions import Actions
from studio.ui.catalogue import language_of, say, word
from studio.ui.guard import guarded, inform

MB = 2**20


def build(actions: Actions) -> None:
    """An accordion that is filled when it is opened; none where the page is hosted for others."""
    if actions.hosted:
        return
    with gr.Accordion(word("holdings.title"), open=False, elem_id="holdings") as panel:
        shown = gr.HTML(elem_id="holdings-shown", padding=False)
        clean = gr.Button(word("holdings.clean"), size="sm", elem_id="holdings-clean")

    @guarded
    def look(request: gr.Request) -> str:
        return draw(actions.holdings(), language_of(request))

    @guarded
    def clean_up(request: gr.Request) -> str:
        language = language_of(request)
        freed = actions.clean_up() / MB
        inform(say("holdings.cleaned", language, size=f"{freed:,.1f}"), seconds=6)
        return draw(actions.holdings(), language)

    private = {"api_visibility": "private"}
    panel.expand(look, None, [shown], **private)
    clean.click(clean_up, None, [shown], **private)


def draw(held: Holdings, language: str) -> str:
    """A table of devices, one of runs at work, one of folders, and what of these nothing refers to."""

    def table(name: str, columns: list[str], rows: list[list[Any]]) -> str:
        heads = [say(f"holdings.column.{column}", language) for column in columns]
        return html.table({"name": say(f"holdings.{name}", language), "columns": heads, "rows": rows}, language)

    devices = [[one.id, one.name, one.total_gb, one.free_gb, one.leased_gb] for one in held.devices]
    at_work = [
        [row["run"], say(f"status.{row['status']}", language), row.get("method", ""), row.get("visitor") or ""]
        for row in held.at_work
    ]
    folders = [[name, round(size / MB, 1)] for name, size in held.folders.items()]
    parts = [table("devices", ["device", "name", "total", "free", "leased"], devices)]
    if at_work:
        parts.append(table("at_work", ["run", "status", "method", "visitor"], at_work))
    parts.append(table("folders", ["folder", "size"], folders))
    return "".join([*parts, f"<p>{say('holdings.garbage', language, size=f'{held.garbage / MB:,.1f}')}</p>"])
