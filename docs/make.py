"""Makes the pages of this folder that come from the code: tasks.md, methods.md and presets.md.

python docs/make.py           writes them
python docs/make.py --check   says whether they are as the code is, and exits 1 where not
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from studio.core import recipe as recipes  # noqa: E402
from studio.core import registry  # noqa: E402

HERE = Path(__file__).parent


def methods_page() -> str:
    """Every method with its paper, what it does and its parameters."""
    lines = ["# Methods", "", "Made from the code by `python docs/make.py`.", ""]
    for cls in registry.methods():
        facts = registry.describe(cls)
        marks = " (transductive)" if facts["transductive"] else ""
        lines += [
            f"## {facts['id']}: {facts['title']}{marks}",
            "",
            f"*{facts['paper']}*",
            "",
            _about(facts["about"]),
            "",
        ]
        if facts["params"]:
            lines += ["| parameter | default | range | meaning |", "|---|---|---|---|"]
            lines += [_row(field) for field in facts["params"]] + [""]
    return "\n".join(lines)


def presets_page() -> str:
    """Every shipped preset with what it shows, and its text."""
    lines = ["# Presets", "", "Made from `presets/` by `python docs/make.py`.", ""]
    for name, path in recipes.presets().items():
        values = recipes.read_yaml(path)
        lines += [
            f"## {name}",
            "",
            values.get("about", ""),
            "",
            "```yaml",
            path.read_text(encoding="utf-8").strip(),
            "```",
            "",
        ]
    return "\n".join(lines)


def tasks_page() -> str:
    """Every task with the keys of its recipes."""
    lines = ["# Tasks", "", "Made from the code by `python docs/make.py`. A key that a task has not is refused.", ""]
    for task in registry.tasks():
        lines += [f"## {task.name}: {task.title}", "", _about(type(task).__doc__ or ""), ""]
        lines += ["| key | default | range | meaning |", "|---|---|---|---|"]
        for key, field in recipes.fields_of(task.name).items():
            if key not in ("task", "params"):
                facts = registry.describe_field(key, field)
                lines.append(_row({**facts, "default": field.get_default(call_default_factory=True)}))
        lines.append("")
    return "\n".join(lines)


PAGES = {"tasks.md": tasks_page, "methods.md": methods_page, "presets.md": presets_page}


def stale() -> list[str]:
    """Names of pages that are not as the code is."""
    return [name for name, make in PAGES.items() if not _same(HERE / name, make())]


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text + "\n"


def _about(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())


def _row(field: dict[str, Any]) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits = ", ".join(f"{signs[key]} {value:g}" for key, value in field["range"].items())
    choices = ", ".join(map(str, field["choices"] or ()))
    return f"| {field['name']} | {field['default']} | {choices or limits} | {field['help'].replace('|', '/')} |"


def main() -> int:
    if "--check" in sys.argv:
        old = stale()
        print(f"not as the code is: {', '.join(old)}; run python docs/make.py" if old else "up to date")
        return 1 if old else 0
    for name, make in PAGES.items():
        (HERE / name).write_text(make() + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
