"""Makes what comes from the code: tasks.md, methods.md, presets.md, and the imports in architecture.md.

python docs/make.py           writes them
python docs/make.py --check   says whether they are as the code is, and exits 1 where not
"""

import ast
import re
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


ROOMS = ("core", "device", "store", "data", "metrics", "figures", "engine", "runs", "label", "ui")


def architecture_page() -> str:
    """The page as it is written, with the diagram of imports made anew."""
    text = (HERE / "architecture.md").read_text(encoding="utf-8").rstrip("\n")
    diagram = "\n".join(["```mermaid", "flowchart TD", *(f"    {a} --> {b}" for a, b in _arrows()), "```"])
    marks = r"(<!-- imports:.*?-->\n).*?(<!-- end of imports -->)"
    return re.sub(marks, rf"\1{diagram}\n\2", text, flags=re.DOTALL)


def _arrows() -> list[tuple[str, str]]:
    """Rooms and those they import, without arrows that a longer way makes needless."""
    folders = {room: HERE.parent / "studio" / room for room in ROOMS}
    folders |= {wing: HERE.parent / wing for wing in ("adapters", "fewshot")}
    imports = {room: {name for file in folder.rglob("*.py") for name in _rooms_in(file)} - {room}
               for room, folder in folders.items()}  # fmt: skip

    def reached(room: str) -> set[str]:
        return imports[room] | {far for near in imports[room] for far in reached(near)}

    return [
        (room, below) for room in folders for below in sorted(imports[room])
        if not any(below in reached(other) for other in imports[room])
    ]  # fmt: skip


def _rooms_in(file: Path) -> set[str]:
    """The rooms that a file imports at its top."""
    modules = [
        node.module or ""
        for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)
    ]  # fmt: skip
    found = {module.split(".")[1] for module in modules if module.startswith("studio.")}
    return (found & set(ROOMS)) | {module.split(".")[0] for module in modules} & {"adapters", "fewshot"}


PAGES = {
    "architecture.md": architecture_page,
    "tasks.md": tasks_page,
    "methods.md": methods_page,
    "presets.md": presets_page,
}


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
