"""The scripts of components that draw themselves, and of the page."""

from pathlib import Path

FOLDER = Path(__file__).parent


def script(*names: str) -> str:
    """What runs once as a component appears: `parts.js`, which all share, and its own files."""
    return "\n".join((FOLDER / file).read_text(encoding="utf-8") for file in ("parts.js", *names))


def first() -> str:
    """What runs once as the page stands, before any of its events is sent."""
    return f"() => {{\n{(FOLDER / 'turns.js').read_text(encoding='utf-8')}}}"
