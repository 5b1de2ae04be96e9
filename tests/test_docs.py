"""The docs are true of the code: made pages are current, links lead somewhere, commands exist."""

import re
import runpy
from pathlib import Path

import pytest

from studio import cli
from studio.core import recipe as recipes

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_pages_that_are_made_from_the_code_are_current():
    assert runpy.run_path(str(ROOT / "docs" / "make.py"))["stale"]() == [], "run: python docs/make.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_inside_the_project_lead_somewhere(page):
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_and_presets_named_in_the_docs_exist(page):
    text = page.read_text(encoding="utf-8")
    for command in re.findall(r"launch\.py ([a-z]+)", text):
        assert command in {*cli.COMMANDS, "test"}, f"{page.name}: launch.py {command}"
    for preset in re.findall(r"launch\.py run ([a-z][a-z0-9-]*)(?=[\s`])", text):
        assert preset in recipes.presets(), f"{page.name}: preset {preset}"
