"""How a tab is opened, by a person or by an answer: what is seen comes first (`tabs.js` has the browser's part)."""

from typing import Any

SEEN = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"


def once_seen(tab: Any) -> Any:
    """What an event is tied to that asks for what a tab holds: the tab was chosen, and is seen by now."""
    return tab.select(None, js=SEEN, api_visibility="private").success


def opens(tab: str) -> dict[str, Any]:
    """What an event is told that does nothing but open a tab."""
    return {"fn": None, "js": f"() => studioTab('{tab}')", "api_visibility": "private"}


def then_open(event: Any, tab: str) -> None:
    """Opens a tab once an event has its answer, and not where it has failed."""
    event.success(**opens(tab))
