"""Does a translation serve: masks of street scenes by day, taught as they are or translated to dusk, scored at dusk.

    python benchmarks/translate_serves.py RESULTS.jsonl DAY DUSK [--seeds 0] [--arms ...] [--minutes 3] [--cells 1]

DAY (as CamVid's) has train/ and val/ with images/ and masks/, of which frames that begin with 0001TP, those of dusk,
are left out; DUSK has unlabelled/, and test/ with images/ and masks/, which only scores. The epoch is chosen on
held-out images by day. Arms:

- day: the scenes as they are; the same network is also scored on the test scenes brought to the colours of day
- mean-variance, fastcut: the scenes as a translator makes them that saw both looks unlabelled
- day + fastcut: both, as many steps

RESULTS keeps a row a cell; what is there is not run again, so short calls (--cells) add up.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from studio import run
from studio.core.home import Home

ARMS = ("day", "mean-variance", "fastcut", "day + fastcut")
OPTIONS = "ignore=11&classes=camvid"
SIZE = 96
GAN = {"width": 24, "discriminator_width": 24, "layers": 2, "diff_augment": "translation"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("day", type=Path)
    parser.add_argument("dusk", type=Path)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS, metavar="ARM")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--minutes", type=float, default=3, help="of a translator's training")
    parser.add_argument("--epochs", type=int, default=10, help="of the segmenter's")
    parser.add_argument("--cells", type=int, default=1000, help="run at most so many")
    asked = parser.parse_args()
    day = asked.results.with_suffix(".day")
    if not day.exists():
        copy_day(asked.day, day)
    rows = [json.loads(line) for line in asked.results.read_text().splitlines()] if asked.results.exists() else []
    there = {(row["arm"], row["seed"]) for row in rows}
    missing = [(arm, seed) for seed in asked.seeds for arm in asked.arms if (arm, seed) not in there]
    for arm, seed in missing[: asked.cells]:
        begun = time.process_time()
        row = {"arm": arm, "seed": seed, **cell(arm, seed, day, asked)}
        row["minutes"] = round((time.process_time() - begun) / 60, 1)
        with asked.results.open("a") as out:
            out.write(json.dumps(row) + "\n")
        rows.append(row)
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))
    return 0


def copy_day(given: Path, out: Path) -> None:
    """All scenes by day, of both splits, in one folder of images and one of masks."""
    for part in ("train", "val"):
        for kind in ("images", "masks"):
            (out / kind).mkdir(parents=True, exist_ok=True)
            for path in (given / part / kind).iterdir():
                if not path.name.startswith("0001TP"):
                    shutil.copy(path, out / kind / path.name)


def cell(arm: str, seed: int, day: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """What an arm scores at dusk."""
    home, test = Home.find(asked.results.with_suffix(".home")), f"masks:{asked.dusk / 'test'}?{OPTIONS}"
    looks = {"source": f"images:{day / 'images'}", "target": f"images:{asked.dusk / 'unlabelled'}"}
    plain, epochs = f"masks:{day}?{OPTIONS}", asked.epochs
    train = plain
    if arm != "day":
        made = translator(arm.removeprefix("day + "), seed, looks, asked.minutes, home)
        train = f"{plain} | translate:{made}"
    if arm.startswith("day + "):
        train, epochs = f"{plain},{train}", -(-epochs // 2)
    recipe = {
        "task": "segment", "method": "segment/light-pyramid", "device": "cpu",
        "model": {"backbone": "pip/tf_efficientnet_lite0", "image_size": SIZE},
        "params": {"width": 64, "loss": "cross-entropy+dice", "backbone_lr": 1.0},
        "data": {"train": train, "test": test}, "train": {"epochs": epochs, "lr": 0.003, "batch_size": 4, "seed": seed},
    }  # fmt: skip
    result = run(recipe, home=home)
    row = {"miou": round(result.metrics["miou"], 4)}
    if arm == "day":
        back = translator("mean-variance", seed, {"target": looks["source"]}, 0, home)
        recipe["model"]["checkpoint"], recipe["train"] = result.checkpoint, {"epochs": 0}
        recipe["data"]["test"] = f"{test} | translate:{back}"
        row["miou of dusk brought to day"] = round(run(recipe, home=home).metrics["miou"], 4)
    return row


def translator(name: str, seed: int, looks: dict[str, str], minutes: float, home: Home) -> str:
    """The checkpoint of one that was shown both looks, or for colours alone that of the target."""
    recipe: dict[str, Any] = {"task": "translate", "device": "cpu"}
    if name == "mean-variance":
        recipe |= {
            "method": "translate/histogram",
            "params": {"match": "mean-variance"},
            "data": {"target": looks["target"]},
        }
    else:
        recipe |= {
            "method": f"translate/{name}", "params": GAN, "model": {"image_size": SIZE}, "data": looks,
            "train": {"minutes": minutes, "epochs": 100, "batch_size": 2, "ema": 0.99, "seed": seed},
            "eval": {"selection": "last"},
        }  # fmt: skip
    return run(recipe, home=home).checkpoint


if __name__ == "__main__":
    sys.exit(main())
