"""The folder of a Hugging Face Space: what the page needs, and the README whose head says how to serve it."""

import argparse
import shutil
from pathlib import Path

from studio.cli.parser import command
from studio.core.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("README.md", "LICENSE", "app.py", "requirements.txt", "studio", "adapters", "fewshot", "presets")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="a new folder, to be pushed to a Space")


@command("space", "make the folder of a Hugging Face Space", _arguments)
def space(args: argparse.Namespace) -> int:
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise UsageError(f"space: {args.out} is there already and not empty; name a new folder.")
    args.out.mkdir(parents=True, exist_ok=True)
    for name in NEEDED:
        copy = shutil.copy2 if (ROOT / name).is_file() else lambda a, b: shutil.copytree(a, b, ignore=LEFT_OUT)
        copy(ROOT / name, args.out / name)
    print(
        f"{args.out} is ready: push it to a Space of the Gradio SDK. Runs and checkpoints outlive restarts where "
        "STUDIO_HOME names a mounted volume; on ZeroGPU a run is worked on within its visitor's request."
    )
    return 0
