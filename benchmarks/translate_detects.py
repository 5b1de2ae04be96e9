"""Does a translation serve a detector: boxes found in infrared scenes as they are, and as translators make them.

    python benchmarks/translate_detects.py RESULTS.jsonl [--seeds 0] [--arms ...] [--minutes 2] [--image FILE.jpg]

Composed scenes of three classes at 96 pixels. One detector a seed learns boxes on 150 visible ones; 100 infrared scenes
that nothing was trained on are scored. Arms:

- visible: the same scenes by clear day, which no translation can do better than
- as they are: infrared
- mean-variance: brought to the colours of the visible ones
- pix2pix: by a translator that saw 80 pairs; cyclegan, fastcut: that saw 80 of each look, unpaired

RESULTS keeps a row a cell; what is there is not run again. --image writes scenes in infrared, as the last arm makes
them, and visible, one below the other.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio import load_checkpoint, run
from studio.core.home import Home
from studio.data import open_data
from studio.runs.score_again import score_again
from studio.store import Store

ARMS = ("visible", "as they are", "mean-variance", "pix2pix", "cyclegan", "fastcut")
SCENES = "builtin:scenes?classes=3&size=96&images={images}&seed={seed}&look={look}"
DETECTOR = {
    "task": "detect", "method": "detect/fcos", "device": "cpu", "params": {"width": 64, "depth": 1},
    "model": {"backbone": "pip/tf_efficientnet_lite0", "image_size": 96},
    "data": {"train": SCENES.format(images=150, seed=0, look="clear")},
}  # fmt: skip
GAN = {"width": 24, "discriminator_width": 24, "layers": 2}
SHOWN = 8  # scenes in the image


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS, metavar="ARM")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--minutes", type=float, default=2, help="of a translator's training")
    parser.add_argument("--epochs", type=int, default=8, help="of the detector's")
    parser.add_argument("--cells", type=int, default=1000, help="run at most so many")
    parser.add_argument("--image", type=Path, help="a file for scenes before and after the last arm")
    asked = parser.parse_args()
    home = Home.find(asked.results.with_suffix(".home"))
    rows = [json.loads(line) for line in asked.results.read_text().splitlines()] if asked.results.exists() else []
    there = {(row["arm"], row["seed"]) for row in rows}
    missing = [(arm, seed) for seed in asked.seeds for arm in asked.arms if (arm, seed) not in there]
    for arm, seed in missing[: asked.cells]:
        rows.append(cell(arm, seed, asked, home))
        with asked.results.open("a") as out:
            out.write(json.dumps(rows[-1]) + "\n")
    for row in rows:
        print(
            f"{row['arm']:16} seed {row['seed']}  AP {row['map']:.3f}  AP50 {row['map_50']:.3f}  {row['minutes']} min"
        )
    if asked.image:
        last = next(row for row in reversed(rows) if row["arm"] == asked.arms[-1])
        before_and_after(last["translator"], home).save(asked.image, quality=85)
    return 0


def cell(arm: str, seed: int, asked: argparse.Namespace, home: Home) -> dict[str, Any]:
    """What the detector finds of an arm's scenes; `minutes` of one core that the translator took."""
    found = detector(seed, asked.epochs, home)
    begun = time.process_time()
    made = translator(arm, seed, asked.minutes, home) if arm not in ("visible", "as they are") else None
    minutes = round((time.process_time() - begun) / 60, 1)
    scenes = SCENES.format(images=100, seed=2, look="clear" if arm == "visible" else "infrared")
    metrics = score_again(found, scenes, f"{scenes} | translate:{made}" if made else scenes, home).metrics
    return {
        "arm": arm, "seed": seed, "map": round(metrics["map"], 4), "map_50": round(metrics["map_50"], 4),
        "minutes": minutes, "translator": made,
    }  # fmt: skip


def detector(seed: int, epochs: int, home: Home) -> str:
    """The checkpoint of a seed's detector, trained where there is none yet."""
    tag = f"detector-{seed}"
    store = Store(home)
    if tag not in store.tags():
        train = {"epochs": epochs, "batch_size": 4, "clip": 5.0, "ema": 0.99, "seed": seed}
        store.tag(run({**DETECTOR, "train": train}, home=home).checkpoint, tag)
    return store.checkpoint(tag).id


def translator(name: str, seed: int, minutes: float, home: Home) -> str:
    """The checkpoint of one from infrared to visible; for colours alone it sees the visible scenes only."""
    visible = SCENES.format(images=80, seed=3, look="clear")
    recipe: dict[str, Any] = {"task": "translate", "method": f"translate/{name}", "device": "cpu"}
    if name == "mean-variance":
        recipe |= {"method": "translate/histogram", "params": {"match": name}, "data": {"target": visible}}
        return run(recipe, home=home).checkpoint
    infrared = SCENES.format(images=80, seed=4, look="infrared")
    pairs = SCENES.format(images=80, seed=4, look="infrared") + "&truth=pairs"
    recipe |= {
        "model": {"image_size": 96}, "params": GAN,
        "data": {"train": pairs} if name == "pix2pix" else {"source": infrared, "target": visible},
        "train": {"minutes": minutes, "epochs": 1000, "batch_size": 4, "ema": 0.99, "seed": seed},
        "eval": {"selection": "last"},
    }  # fmt: skip
    return run(recipe, home=home).checkpoint


def before_and_after(made: str, home: Home) -> Image.Image:
    """Scenes in infrared, translated, and visible: a row each."""
    infrared, visible = (
        [item.source.read() for item in open_data(SCENES.format(images=SHOWN, seed=2, look=look)).items]
        for look in ("infrared", "clear")
    )
    answers = load_checkpoint(made, home).predictor.answers([Image.fromarray(image) for image in infrared])
    translated = [np.asarray(answer.image) for answer in answers]
    return Image.fromarray(np.vstack([np.hstack(row) for row in (infrared, translated, visible)]))


if __name__ == "__main__":
    sys.exit(main())
