"""Versions of the data that were taken: save them under a name, use one again, see what changed between two."""

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from studio.core.errors import DataError
from studio.data.checks.left_out import LEFT_OUT
from studio.store.version_changes import Changes
from studio.ui.catalogue import language_of, say, word
from studio.ui.events import LATEST, renewed
from studio.ui.guard import guarded, inform

MOST_ROWS = 200  # of a comparison that are shown


@dataclass(frozen=True)
class Controls:
    """What the Data page needs to take a version: which one, and the button that takes it."""

    chosen: gr.Dropdown
    use: gr.Button


def build(shared: Any, spec: gr.State) -> Controls:
    """`spec` is that of the data that were taken last."""
    actions = shared.actions
    with gr.Accordion(word("versions.title"), open=False, elem_id="versions") as panel:
        gr.Markdown(word("versions.about"))
        with gr.Row():
            name = gr.Textbox(label=word("versions.name"), max_lines=1, elem_id="version-name", min_width=200)
            without = gr.Dropdown(
                [(word(f"problem.{problem}"), problem) for problem in LEFT_OUT], value=[], multiselect=True,
                label=word("versions.without"), info=word("versions.without.info"), elem_id="version-without",
                min_width=260,
            )  # fmt: skip
            save = gr.Button(word("versions.save"), elem_id="version-save", min_width=160)
        with gr.Row():
            chosen = gr.Dropdown([], label=word("versions.one"), elem_id="version-one", min_width=200)
            before = gr.Dropdown([], label=word("versions.before"), elem_id="version-before", min_width=200)
        with gr.Row():
            use = gr.Button(word("versions.use"), elem_id="version-use", min_width=120)
            compare = gr.Button(word("versions.compare"), elem_id="version-compare", min_width=120)
            delete = gr.Button(word("versions.delete"), elem_id="version-delete", min_width=120)
        changes = gr.HTML(elem_id="version-changes", padding=False)

    def listed(
        now: str | None, then: str | None, language: str, otherwise: str | None = None
    ) -> tuple[gr.Dropdown, gr.Dropdown]:  # fmt: skip
        """Both lists: what is chosen in them stays where it is still there; the first else has `otherwise`."""
        found = actions.versions()
        names = [facts.version for facts in found]
        choices = [
            (
                say("versions.choice", language, name=facts.version, images=facts.images, content=facts.short),
                facts.version,
            )
            for facts in found
        ]
        shown = now if now in names else otherwise or next(iter(names), None)
        others = [one for one in names if one != shown]
        kept = then if then in others else ""
        return renewed(choices, now, shown), renewed(choices, kept, next(iter(others), None))

    @guarded
    def list_again(now: str | None, then: str | None, request: gr.Request) -> Any:
        return listed(now, then, language_of(request))

    @guarded
    def save_new(wanted: str, data: str, problems: list[str], then: str | None, request: gr.Request) -> Any:
        language = language_of(request)
        if not data:
            raise DataError(say("versions.no_data", language))
        facts = actions.save_version(wanted.strip(), data, problems)
        without = sum(facts.left_out.values())
        key = "versions.saved_without" if without else "versions.saved"
        inform(say(key, language, name=facts.version, images=facts.images, without=without), seconds=6)
        return *listed("", then, language, facts.version), ""

    @guarded
    def compare_two(now: str | None, then: str | None, request: gr.Request) -> str:
        language = language_of(request)
        if not now or not then:
            raise DataError(say("versions.two", language))
        return changes_table(actions.compare_versions(then, now), language)

    @guarded
    def delete_chosen(now: str | None, then: str | None, request: gr.Request) -> Any:
        language = language_of(request)
        if now:
            actions.delete_version(now)
            inform(say("versions.deleted", language, name=now), seconds=6)
        return *listed("", then, language), ""

    private: dict[str, Any] = {"api_visibility": "private"}
    panel.expand(list_again, [chosen, before], [chosen, before], show_progress="hidden", **private)
    save.click(save_new, [name, spec, without, before], [chosen, before, name], **private)
    compare.click(compare_two, [chosen, before], [changes], **LATEST)
    delete.click(delete_chosen, [chosen, before], [chosen, before, changes], **private)
    return Controls(chosen, use)


def changes_table(changes: Changes, language: str) -> str:
    """How many images became what, and each of them; every text that comes from outside is escaped here."""
    counts = [*changes.counts().items(), ("unchanged", changes.unchanged)]
    told = "  ·  ".join(say(f"versions.{kind}", language, count=count) for kind, count in counts if count)
    heads = [say(f"versions.column.{key}", language) for key in ("image", "change", "before", "after")]
    rows = [
        [row.image, say(f"versions.change.{row.change}", language), row.before, row.after]
        for row in changes.rows[:MOST_ROWS]
    ]
    table = _line("th", heads) + "".join(_line("td", cells) for cells in rows)
    beyond = len(changes.rows) - MOST_ROWS
    more = f"<p>{escape(say('images.more', language, count=beyond))}</p>" if beyond > 0 else ""
    shown = f"<div class='wide run-table' tabindex='0'><table>{table}</table></div>{more}" if rows else ""
    title = f"{changes.before.version} → {changes.after.version}: {told}"
    return f"<p class='count'><b>{escape(title)}</b></p>{shown}"


def _line(tag: str, cells: list[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
