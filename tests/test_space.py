"""The folder of a Hugging Face Space, as one command makes it."""

import re
import subprocess
import sys

import gradio
import pytest
import yaml

from studio import cli
from studio.cli.space import ROOT


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    folder = tmp_path_factory.mktemp("space") / "out"
    assert cli.main(["space", str(folder)]) == 0
    return folder


def test_the_head_of_the_readme_is_what_a_space_reads(space):
    text = (space / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1])
    assert head["sdk"] == "gradio" and head["sdk_version"] == gradio.__version__
    assert (space / head["app_file"]).is_file()
    assert tuple(map(int, str(head["python_version"]).split("."))) >= (3, 11)
    assert len(head["short_description"]) <= 60 and len(head["emoji"]) == 1
    assert {head["colorFrom"], head["colorTo"]} <= {
        "red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"
    }  # fmt: skip


def test_the_folder_has_all_that_the_page_needs_and_nothing_else(space):
    code = "import app, studio.core.recipe as recipe; print(app.__file__, len(recipe.presets()))"
    done = subprocess.run([sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, '.'); {code}"], cwd=space,
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    file, presets = done.stdout.split()
    assert (space / file).resolve() == space / "app.py" and int(presets) == len(list((ROOT / "presets").glob("*.yaml")))
    for part in ("studio", "adapters", "fewshot", "presets"):
        assert files_of(space / part) == files_of(ROOT / part)
    assert not {"tests", "benchmarks", "docs"} & {path.name for path in space.iterdir()}


def files_of(folder):
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sorted(name for name in names if "__pycache__" not in name.parts)


def test_a_folder_that_holds_something_is_left_as_it_is(space, capsys):
    before = sorted(space.iterdir())
    assert cli.main(["space", str(space)]) == 2
    assert "not empty" in capsys.readouterr().err and sorted(space.iterdir()) == before
