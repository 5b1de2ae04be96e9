"""How much memory `predict` takes on large photos, and whether that depends on how many there are.

    python benchmarks/predict_memory.py [--photos 8 32] [--megapixels 48] [--task classify|detect]

A checkpoint is made in seconds, then each number of photos is predicted by `launch.py predict` in a process of its own,
whose peak resident memory is printed. The photos are noise of a low frequency, as JPEG, links to one file.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

RECIPES = {
    "classify": {
        "method": "fewshot/prototypes", "model": {"backbone": "pip/tf_efficientnet_lite0", "image_size": 224},
        "data": {"train": "builtin:digits?per_class=10"}, "eval": {"shots": 2, "queries": 2, "episodes": 5},
    },
    "detect": {
        "task": "detect", "method": "detect/fcos",
        "model": {"backbone": "pip/tf_efficientnet_lite0", "image_size": 320},
        "data": {"train": "builtin:scenes?images=8"}, "train": {"epochs": 1, "batch_size": 4},
    },
}  # fmt: skip
#: runs a command line of the studio and prints its own peak resident memory in MiB
MEASURE = """
import sys
from studio import cli
from studio.core.resident import peak_bytes
code = cli.main(sys.argv[1:])
print(f"PEAK {peak_bytes() / 2**20:.0f}")
sys.exit(code)
"""


def photo(path: Path, megapixels: float) -> None:
    """A JPEG of about so many megapixels, 4 to 3."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    grains = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(grains).resize((height * 4 // 3, height)).save(path, quality=90)


def peak_mb(words: list[str], home: Path) -> float:
    """Peak resident memory in MiB of one command line."""
    env = {**os.environ, "STUDIO_HOME": str(home), "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", MEASURE, *words], env=env, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(run.stderr[-2000:])
    return float(run.stdout.rsplit("PEAK ", 1)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--megapixels", type=float, default=48)
    parser.add_argument("--task", choices=RECIPES, default="classify")
    args = parser.parse_args()
    from studio import run
    from studio.core.home import Home

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        checkpoint = run({**RECIPES[args.task], "device": "cpu"}, home=Home.find(place / "home")).checkpoint
        photo(place / "photo.jpg", args.megapixels)
        for count in args.photos:
            photos = place / f"{count} photos"
            photos.mkdir()
            for number in range(count):
                os.link(place / "photo.jpg", photos / f"{number:05}.jpg")
            peak = peak_mb(["predict", checkpoint, str(photos), "--device", "cpu", "--json"], place / "home")
            print(f"{args.task}: {count} photos of {args.megapixels:g} megapixels: {peak:.0f} MiB at most", flush=True)


if __name__ == "__main__":
    main()
