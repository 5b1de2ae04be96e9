"""What training costs now beside an earlier commit: the same work in turn in both checkouts, as a ratio.

    python benchmarks/loop_before.py COMMIT [--rounds 5]

Each round trains one classifier and one detector for some steps in either checkout, each in a process of its own, and
compares the seconds of the training loop alone (its bare peer measured beside it) and the images a second that the
detector's run reports. Prints the medians of the ratios now / before; above 1 it costs more.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOOP = ["benchmarks/training_loop.py", "--backbone", "vit_tiny_patch16_224", "--size", "96", "--batch", "8"]
LOOP += ["--steps", "20", "--rounds", "3"]
DETECT = """
from studio import run
scenes = "builtin:scenes?images=96&size=128"
result = run("detect-quick", {"train.epochs": 4, "model.image_size": 128, "data.train": scenes})
print("images_per_s", result.metrics["images_per_s"])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", before, args.commit], cwd=ROOT, check=True)
        try:
            compare(before, Path(folder), args.rounds)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", before], cwd=ROOT, check=True)


def compare(before: Path, folder: Path, rounds: int) -> None:
    loop, detect = [], []
    for number in range(rounds):
        first, second = loop_cost(before), loop_cost(ROOT)
        loop.append(second / first)
        print(f"round {number}: loop / bare before {first:.3f}, now {second:.3f}", flush=True)
        first, second = detector_speed(before, folder), detector_speed(ROOT, folder)
        detect.append(first / second)
        print(f"round {number}: detector, images a second before {first:.1f}, now {second:.1f}", flush=True)
    print(f"classifier: now / before = {statistics.median(loop):.3f} (median of {rounds})")
    print(f"detector: now / before = {statistics.median(detect):.3f} (median of {rounds})")


def loop_cost(checkout: Path) -> float:
    return float(re.search(r"loop / bare = ([\d.]+)", output_of(checkout, LOOP))[1])


def detector_speed(checkout: Path, folder: Path) -> float:
    home = tempfile.mkdtemp(dir=folder)
    return float(re.search(r"images_per_s ([\d.]+)", output_of(checkout, ["-c", DETECT], STUDIO_HOME=home))[1])


def output_of(checkout: Path, arguments: list[str], **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(checkout), **variables}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout.name} failed:\n{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
