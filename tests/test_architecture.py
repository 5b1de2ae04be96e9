"""The rooms and who may import whom: what pyproject.toml says of it holds."""

import ast
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import studio
import studio.core
from studio.core import registry

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = sorted(file.parent for top in ("studio", "adapters", "fewshot") for file in (ROOT / top).rglob("__init__.py"))


def fresh_python(code: str) -> None:
    """Runs code in an interpreter of its own, where nothing has been imported yet."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_imports_point_downwards_and_never_at_a_wing() -> None:
    lint = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    command = [sys.executable, "-c", lint, "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_is_under_a_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = " | ".join(contracts[0]["layers"]).split(" | ")
    rooms = {f"studio.{module.name}" for module in pkgutil.iter_modules(studio.__path__) if module.ispkg}
    assert rooms - {"studio.bootstrap"} == set(layers)


def test_core_leaves_torch_and_gradio_alone() -> None:
    modules = [f"studio.core.{module.name}" for module in pkgutil.iter_modules(studio.core.__path__)]
    assert len(modules) > 5
    fresh_python(f"import sys, {', '.join(modules)}; assert not {{'torch', 'gradio'}} & set(sys.modules)")


@pytest.mark.parametrize("arguments", [["--help"], ["presets"], ["runs", "--json"]], ids=" ".join)
def test_commands_that_answer_at_once_do_not_import_torch(arguments: list[str], tmp_path: Path) -> None:
    fresh_python(f"""
import contextlib, os, sys
os.environ["STUDIO_HOME"] = {str(tmp_path)!r}
from studio.cli import main
with contextlib.suppress(SystemExit):
    main({arguments!r})
assert not {{"torch", "gradio", "transformers", "matplotlib"}} & set(sys.modules)
""")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_a_folder_says_what_lives_in_it_and_what_it_may_use(folder: Path) -> None:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len([line for line in text.splitlines() if line.strip()]) >= 2


def comparisons(tree: ast.AST) -> list[ast.AST]:
    """Constants that are compared with something, matched against, or keys of a dictionary that is looked up."""
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            found += [part for side in (node.left, *node.comparators) for part in ast.walk(side)]
        elif isinstance(node, ast.MatchValue):
            found.append(node.value)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
            found += [key for key in node.value.keys if key]
    return [node for node in found if isinstance(node, ast.Constant)]


def test_nothing_outside_a_task_s_folder_is_compared_with_its_name() -> None:
    homes = {task.name: ROOT.joinpath(*type(task).__module__.split(".")[:-1]) for task in registry.tasks()}
    assert len(homes) > 3
    files = [file for top in ("studio", "adapters", "fewshot") for file in (ROOT / top).rglob("*.py")]
    faults = [
        f"{file.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for file in [*files, ROOT / "launch.py", ROOT / "app.py"]
        for node in comparisons(ast.parse(file.read_text(encoding="utf-8")))
        if node.value in homes and homes[node.value] not in file.parents
    ]
    assert not faults


def test_tasks_are_known_without_torch() -> None:
    fresh_python("""
import sys
from studio.core import registry
assert len(registry.tasks()) > 3 and "torch" not in sys.modules
""")


def test_helpers_of_tests_have_names_of_their_own():
    """They are imported by name alone: of two that are called the same, whichever came first would be taken."""
    modules = [path.name for path in (ROOT / "tests").rglob("*.py")]
    helpers = [name for name in modules if not name.startswith(("test_", "conftest", "__"))]
    assert sorted(helpers) == sorted(set(helpers))
