"""Drawing boxes replayed on data whose boxes are hidden: AP50 on other images against images labelled, rule by rule.

    python benchmarks/label_boxes.py --data voc:../shared/data/bccd --seeds 0 1 2 3 --out rows.jsonl

A detector first learns composed scenes, once. A seed draws the pool among the images of train and val; the first images
are chosen by the rule itself where it can begin without a detector, at random else. After each of `--labels` the
detector of the scenes goes on with what is labelled so far, for the same steps, its backbone as it is (without
`--tuned`), and its last weights are scored on the images of test. Rules are those of the studio that need no classes,
and `unsure`: the images whose boxes the last detector is least sure of (Brust, Käding, Denzler 2019: the margin of each
box, summed over an image). Nothing is chosen by the test images. Rows go into `--out`, a JSON line a rule and seed;
what is there is not done again.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from studio import load_checkpoint, run
from studio.core import registry
from studio.core.home import Home
from studio.core.labelling import Pool
from studio.data import open_data
from studio.data.features.cache import extract
from studio.data.files.images import read_image
from studio.data.items import Dataset
from studio.data.writers.coco import write
from studio.metrics.intervals import mean_ci95, paired_difference

BATCH = 4
RULES = ("random", "unsure", "k-center", "typiclust")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="voc:../shared/data/bccd")
    parser.add_argument("--backbone", default="pip/tf_efficientnet_lite0")
    parser.add_argument("--rules", nargs="*", default=RULES)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3])
    parser.add_argument("--labels", type=int, nargs="*", default=[4, 8, 16, 32], help="images labelled so far")
    parser.add_argument("--pool", type=int, default=120, help="images that a seed draws")
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--steps", type=int, default=60, help="of four images, from the detector of the scenes on")
    parser.add_argument("--tuned", action="store_true", help="the backbone learns too: better, and slower")
    parser.add_argument("--minutes", type=float, default=1e9, help="no row is begun after so many")
    parser.add_argument("--out", type=Path, default=Path("label-boxes.jsonl"))
    args = parser.parse_args()
    home, begun = Home.find(), time.monotonic()
    rows = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []
    done = {(row["rule"], row["seed"]) for row in rows}
    data = open_data(args.data)
    base = detector_of_scenes(args, home)
    for seed in args.seeds:
        for rule in args.rules:
            if (rule, seed) in done or time.monotonic() - begun > 60 * args.minutes:
                continue
            since = time.monotonic()
            row = {"rule": rule, "seed": seed, "labels": args.labels, **replay(args, home, data, base, rule, seed)}
            rows.append({**row, "seconds": time.monotonic() - since})
            with open(args.out, "a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(rule, seed, [round(score, 3) for score in row["map_50"]], f"{time.monotonic() - since:.0f} s")
    show(rows, args.labels)


def detector_of_scenes(args: argparse.Namespace, home: Home) -> str:
    """The checkpoint that all replays go on from."""
    kept = args.out.with_suffix(".base")
    if not kept.exists():
        values = recipe(args, f"builtin:scenes?images=200&size={args.size}&classes=3", None, 0)
        values["train"].update(epochs=10, max_steps=None)
        values["params"]["freeze"] = 0
        kept.write_text(run(values, home=home).checkpoint or "")
    return kept.read_text()


def recipe(args: argparse.Namespace, train: str, base: str | None, seed: int, images: int = BATCH) -> dict[str, Any]:
    """So many steps of `images` images; the learning rate falls over these."""
    epochs = math.ceil(args.steps / math.ceil(images / BATCH))
    return {
        "task": "detect", "method": "detect/fcos", "device": "cpu",
        "params": {"width": 64, "depth": 1, "freeze": 0 if args.tuned else 1000},
        "model": {"backbone": args.backbone, "image_size": args.size, "checkpoint": base},
        "data": {"train": train}, "eval": {"selection": "last"},
        "train": {"epochs": epochs, "max_steps": args.steps, "batch_size": BATCH, "clip": 5.0, "seed": seed},
    }  # fmt: skip


def replay(args: argparse.Namespace, home: Home, data: Dataset, base: str, rule: str, seed: int) -> dict[str, Any]:
    """AP50 and the boxes that had to be drawn, after each number of images."""
    rng = np.random.default_rng(seed)
    test, others = data.part("test"), [*data.splits["train"], *data.splits["val"]]
    pool = data.subset(sorted(rng.permutation(others)[: args.pool].tolist()))
    features, _ = extract(pool, registry.backbone(args.backbone, home=home), home=home)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    labels, checkpoint = np.full(len(pool.items), -1), None
    scores, boxes = list[float](), list[int]()
    with tempfile.TemporaryDirectory() as folder:
        write(test, Path(folder) / "test")
        for count in args.labels:
            wanted = count - int((labels >= 0).sum())
            labels[picked(rule, pool, features, labels, wanted, checkpoint, home, rng)] = 0
            known = pool.subset(np.flatnonzero(labels >= 0).tolist())
            write(known, Path(folder) / f"{count}")
            values = recipe(args, coco(Path(folder) / f"{count}"), base, seed, count)
            values["data"].update(val=coco(Path(folder) / f"{count}"), test=coco(Path(folder) / "test"))
            result = run(values, home=home)
            if result.status != "finished":
                sys.exit(f"{rule}, seed {seed}: {result.status}; the next call begins this row again.")
            checkpoint = result.checkpoint
            scores.append(result.metrics["map_50"])
            boxes.append(sum(len(item.boxes) for item in known.items))
    return {"map_50": scores, "boxes": boxes, "pool": len(pool.items), "test": len(test.items)}


def coco(folder: Path) -> str:
    return f"coco:{folder}/annotations.json?images={folder}/images"


def picked(
    rule: str, pool: Dataset, features: np.ndarray, labels: np.ndarray, count: int, checkpoint: str | None, home: Home,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Rows of the images that are labelled next."""
    if rule != "unsure":
        return registry.rule_named(rule).pick(Pool(features, labels, labels < 0, lambda: None), count, rng)
    waiting = rng.permutation(np.flatnonzero(labels < 0))
    if checkpoint is None:
        return waiting[:count]
    predictor = load_checkpoint(checkpoint, home).predictor
    images = [read_image(pool.items[row].source, pool.items[row].name) for row in waiting]
    found = [boxes for image in images for boxes in predictor.boxes([image])]
    doubt = np.array([(1 - np.abs(2 * boxes.scores - 1)).sum() for boxes in found])
    return waiting[np.argsort(-doubt, kind="stable")[:count]]


def show(rows: list[dict[str, Any]], labels: list[int]) -> None:
    """Mean AP50 and boxes of each rule over the seeds that all have, with 95% intervals."""
    by_rule: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        by_rule.setdefault(row["rule"], {})[row["seed"]] = row
    seeds = sorted(set.intersection(*(set(kept) for kept in by_rule.values()))) if by_rule else []
    if len(seeds) < 2:
        return
    print(
        f"\n{len(seeds)} seeds; AP50 in percent after so many images, 95% intervals over seeds; boxes drawn in brackets"
    )
    print("| rule | " + " | ".join(map(str, labels)) + " | mean of the curve, minus random |")
    print("|---" * (len(labels) + 2) + "|")
    table = {rule: np.array([kept[seed]["map_50"] for seed in seeds]) * 100 for rule, kept in by_rule.items()}
    for rule, scores in table.items():
        boxes = np.array([by_rule[rule][seed]["boxes"] for seed in seeds]).mean(0)
        cells = ["{:.1f} ± {:.1f} ({:.0f})".format(*mean_ci95(scores[:, n]), boxes[n]) for n in range(len(labels))]
        against = ""
        if rule != "random" and "random" in table:
            against = "{:+.1f} ± {:.1f}".format(*paired_difference(scores.mean(1), table["random"].mean(1)))
        print(f"| {rule} | " + " | ".join(cells) + f" | {against} |")


if __name__ == "__main__":
    main()
