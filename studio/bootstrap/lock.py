"""Renews the lock files: every package with its version and the hashes of its files, for each system and Python.

python -m studio.bootstrap.lock [--hold torch==2.14.1 torchvision==0.29.1 ...]

`--hold` keeps a package where it is. Uses uv, which is in requirements-dev.txt; run the tests before committing.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from studio.bootstrap import learn2learn
from studio.bootstrap.environment import lock_of
from studio.bootstrap.steps import ROOT

OLDEST_PYTHON = "3.11"  # as in launch.py and pyproject.toml
RUNTIME, TESTS = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"
HEADER = "# Made by `python -m studio.bootstrap.lock`; launch.py installs from it.\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hold", nargs="+", default=[], metavar="NAME==VERSION", help="versions to keep")
    held = "\n".join(parser.parse_args().hold)
    runtime = RUNTIME.read_text(encoding="utf-8") + "\npip\n"  # .venv begins with the pip that Python brought
    tests = runtime + TESTS.read_text(encoding="utf-8")
    write(lock_of(RUNTIME), runtime, held)
    settled = pins(lock_of(RUNTIME))
    write(lock_of(TESTS), tests, settled)
    write(learn2learn.LOCK, learn2learn.IMPORTS, settled)


def write(lock: Path, requirements: str, constraints: str) -> None:
    """Resolves requirement lines for every system and Python from the oldest on, and writes them with hashes."""
    held = lock.with_suffix(".held")
    held.write_text(constraints, encoding="utf-8")
    command = [
        sys.executable, "-m", "uv", "pip", "compile", "-", "--universal", "--python-version", OLDEST_PYTHON,
        "--generate-hashes", "--no-header", "--no-annotate", "--quiet", "--constraints", str(held),
    ]  # fmt: skip
    try:
        solved = subprocess.run(command, input=requirements, cwd=ROOT, text=True, capture_output=True)
    finally:
        held.unlink()
    if solved.returncode:
        sys.exit(f"{lock.name}: uv found no versions that fit together.\n{solved.stderr}")
    lock.write_text(HEADER + solved.stdout, encoding="utf-8")


def pins(lock: Path) -> str:
    """The versions of a lock file, without their hashes."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    return "\n".join(line.removesuffix("\\").strip() for line in lines if "==" in line)


if __name__ == "__main__":
    main()
