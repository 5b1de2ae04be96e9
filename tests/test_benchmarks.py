"""Every benchmark starts from a fresh clone, and those that the docs name take the arguments the docs give them."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: starts each script with its arguments in one process, and stops it once they are parsed
PARSE = """
import argparse, json, runpy, sys
class Parsed(Exception): pass
parse = argparse.ArgumentParser.parse_args
def parsed(self, *args, **kwargs):
    parse(self, *args, **kwargs)
    raise Parsed
argparse.ArgumentParser.parse_args = parsed
endings = []
for command in json.load(sys.stdin):
    sys.argv = command
    try:
        runpy.run_path(command[0], run_name="__main__")
        endings.append("it takes no arguments")
    except Parsed:
        endings.append("")
    except SystemExit as end:
        endings.append("" if end.code in (0, None) else f"exit {end.code}")
    except BaseException as error:
        endings.append(repr(error))
print(json.dumps(endings))
"""


def endings(commands: list[list[str]]) -> dict[str, str]:
    """How each command line ended once its arguments were read, "" where well."""
    run = subprocess.run(
        [sys.executable, "-c", PARSE],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    lines = [" ".join(command) for command in commands]
    return dict(zip(lines, json.loads(run.stdout.splitlines()[-1]), strict=True))


def documented() -> list[list[str]]:
    """The command lines of the docs that name a benchmark, without Python."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS)
    lines = re.findall(r"(?<=python )benchmarks/\w+\.py[^\n`#|]*(?:\n[^`\n]*(?=`))?", text)
    commands = (shlex.split(re.sub(r"[,;:)]+$", "", line.strip())) for line in lines)
    return [command for command in commands if command[0] != "benchmarks/NAME.py"]


def test_every_benchmark_says_what_it_does_when_asked_for_help():
    assert SCRIPTS
    commands = [[f"benchmarks/{path.name}", "--help"] for path in SCRIPTS]
    assert {line: end for line, end in endings(commands).items() if end} == {}


def test_the_arguments_that_the_docs_give_to_benchmarks_are_read():
    commands = documented()
    assert len(commands) >= 10
    assert {line: end for line, end in endings(commands).items() if end} == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("detect_ap.py --images 6 --boxes 12", r"\d"),
        ("training_loop.py --backbone test_vit --size 160 --batch 2 --steps 2 --rounds 1", r"loop / bare = \d"),
        ("open_and_check.py {images} --rounds 1", r"\d"),
        ("growth.py --methods align/coral --sizes 300 --dim 16", r"coral"),
    ],
    ids=lambda value: value.split(".py")[0],
)
def test_a_small_benchmark_runs_to_its_table(command: str, expected: str, tmp_path: Path):
    from PIL import Image

    for number in range(4):
        folder = tmp_path / "images" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (60 * number, 0, 0)).save(folder / f"{number}.jpg")
    name, *arguments = command.format(images=tmp_path / "images").split()
    run = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / name), *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert re.search(expected, run.stdout)
