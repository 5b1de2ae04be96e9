"""The scripts of components that draw themselves."""

from pathlib import Path


def script(*names: str) -> str:
    """What runs once as a component appears: `parts.js`, which all share, and its own files."""
    folder = Path(__file__).parent
    return "\n".join((folder / file).read_text(encoding="utf-8") for file in ("parts.js", *names))
