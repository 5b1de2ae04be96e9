"""Pages of a data set's images as HTML: thumbnails, or those of a problem side by side with what to do about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil
from typing import TypeVar

from studio.runs.image_table import ImageTable
from studio.ui.catalogue import explained, say

PER_PAGE, GROUPS = 48, 12  # images; groups, or broken files, of a page
IN_GROUP = 12  # images of a group that are shown
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Wanted:
    """Which images, and which page of them, from 0. What is None is not asked for."""

    label: str | None = None
    split: str | None = None
    problem: str | None = None
    page: int = 0


@dataclass(frozen=True)
class Page:
    """One page, drawn; its number may be less than what was wanted."""

    html: str
    number: int
    pages: int


def draw(table: ImageTable, wanted: Wanted, language: str) -> Page:
    """The page that is wanted, or the last one there is; every text that comes from outside is escaped here."""
    if wanted.problem == "broken":
        things = [_broken(name, reason, language) for name, reason in table.broken]
        return _page(things, GROUPS, wanted, language, lambda thing: thing)
    if wanted.problem:
        groups = table.groups_of(wanted.problem, wanted.label, wanted.split)
        return _page(groups, GROUPS, wanted, language, lambda group: _group(table, group, language))
    rows = table.select(wanted.label, wanted.split)
    return _page(rows, PER_PAGE, wanted, language, lambda place: card(table, place, language))


def card(table: ImageTable, place: int, language: str) -> str:
    """One image with its classes and split."""
    row = table.rows[place]
    shown = ", ".join(table.labels_of(row)[:4])
    said = " · ".join(part for part in (shown, _split(table.split_of(row), language)) if part)
    name, source = escape(row.name), table.thumbnail(place)
    image = f"<img src='{source}' alt='{name}'>" if source else f"<span class='unseen'>{name}</span>"
    return f"<figure title='{name}'>{image}<figcaption>{escape(said)}</figcaption></figure>"


def _page(things: Sequence[Thing], per_page: int, wanted: Wanted, language: str, drawn: Callable[[Thing], str]) -> Page:
    pages = max(1, ceil(len(things) / per_page))
    number = min(max(0, wanted.page), pages - 1)
    first = number * per_page
    shown = things[first : first + per_page]
    if not shown:
        return Page(_line("count", say("images.none", language)), 0, 1)
    line = say(
        "images.shown", language, first=first + 1, last=first + len(shown), count=len(things),
        what=say(f"images.{_unit(wanted)}", language),
    )  # fmt: skip
    advice = (
        f"<p class='advice'>{escape(say(f'problem.{wanted.problem}.advice', language))}</p>" if wanted.problem else ""
    )
    inside = "".join(map(drawn, shown))
    kind = "groups" if wanted.problem else "images"
    return Page(f"{advice}{_line('count', line)}<div class='{kind}'>{inside}</div>", number, pages)


def _unit(wanted: Wanted) -> str:
    return "files" if wanted.problem == "broken" else "groups" if wanted.problem else "images"


def _group(table: ImageTable, group: list[int], language: str) -> str:
    cards = "".join(card(table, place, language) for place in group[:IN_GROUP])
    more = (
        f"<p>{escape(say('images.more', language, count=len(group) - IN_GROUP))}</p>" if len(group) > IN_GROUP else ""
    )
    names = "<br>".join(escape(table.rows[place].name) for place in group[:IN_GROUP])
    return f"<section class='together'><div class='images'>{cards}</div><p class='names'>{names}</p>{more}</section>"


def _broken(name: str, reason: str, language: str) -> str:
    return f"<section class='together'>{_line('names', name)}{_line('why', explained(reason, language))}</section>"


def _line(kind: str, text: str) -> str:
    return f"<p class='{kind}'>{escape(text)}</p>"


def _split(name: str, language: str) -> str:
    return say(f"split.{name}", language) if name in ("train", "val", "test") else name
