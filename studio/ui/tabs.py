"""How a tab is opened, by a person or by an answer: what is seen comes first (`tabs.js` has the browser's part)."""

from typing import Any

#: `js` of an event by which a tab is opened: the tab is seen first, and then what it holds is asked for
ONCE_SEEN = """async (...inputs) => {
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return inputs;
}"""


def opens(tab: str) -> dict[str, Any]:
    """What an event is told that does nothing but open a tab."""
    return {"fn": None, "js": f"() => studioTab('{tab}')", "api_visibility": "private"}


def then_open(event: Any, tab: str) -> None:
    """Opens a tab once an event has its answer, and not where it has failed."""
    event.success(**opens(tab))
