"""Labelling replayed on data whose labels are hidden: accuracy on other images against images labelled, rule by rule.

    python benchmarks/label_rules.py --data folder:../shared/data/pacs_mini/photo --out rows.jsonl

The images are parted once a seed, class by class: 2/3 are the pool, of which no label is known at first, the rest is
the test. The first images are chosen by the rule itself where it can begin without labels, at random else. After each
step of `--step` labels a classifier of frozen features is taught with them and scored on the test images. Every rule
sees the same splits. Rows go into `--out`, one JSON line a rule and seed; what is there is not computed again.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from studio.core import registry
from studio.core.home import Home
from studio.core.labelling import Pool, Rule
from studio.data import open_data
from studio.data.features.cache import extract
from studio.label.classifiers import committee, logistic, prototypes
from studio.metrics.intervals import mean_ci95, paired_difference

DRAWS = 1000  # of seeds, for the intervals of how many labels are needed
SCORERS = {"prototypes": prototypes, "logistic": logistic}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="folder:../shared/data/pacs_mini/photo")
    parser.add_argument("--backbone", default="pip/tf_efficientnet_lite0")
    parser.add_argument("--rules", nargs="*", help="all by default")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--step", type=int, default=7, help="labels between two scores")
    parser.add_argument("--labels", type=int, default=105, help="the most that are asked for")
    parser.add_argument("--out", type=Path, default=Path("label-rules.jsonl"))
    args = parser.parse_args()
    features, truth = embedded(args.data, args.backbone)
    names = args.rules or [rule.name for rule in registry.rules()]
    rows = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []
    done = {(row["rule"], row["seed"]) for row in rows if row["data"] == args.data and row["step"] == args.step}
    for seed in range(args.seeds):
        for name in names:
            if (name, seed) in done:
                continue
            row = replay(registry.rule_named(name), features, truth, seed, args.step, args.labels)
            rows.append({"data": args.data, "backbone": args.backbone, "step": args.step, "rule": name, **row})
            with open(args.out, "a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    for scorer in SCORERS:
        show([row for row in rows if row["data"] == args.data and row["step"] == args.step], scorer)


def embedded(spec: str, backbone: str) -> tuple[np.ndarray, np.ndarray]:
    """Features of unit length and true classes of all images."""
    home = Home.find()
    network = registry.backbone(backbone, home=home)
    features, dataset = extract(open_data(spec), network, home=home)
    return features / np.linalg.norm(features, axis=1, keepdims=True), dataset.labels


def replay(rule: Rule, features: np.ndarray, truth: np.ndarray, seed: int, step: int, most: int) -> dict:
    """The accuracy of each scorer after each step of one labelling."""
    rng = np.random.default_rng(seed)
    pool_rows, test_rows = parted(truth, rng)
    points, hidden, classes = features[pool_rows], truth[pool_rows], int(truth.max()) + 1
    labels = np.full(len(points), -1)
    curve: dict[str, list[float]] = {name: [] for name in SCORERS}
    seconds = 0.0
    while (labels >= 0).sum() < min(most, len(points)):
        pool = Pool(points, labels, labels < 0, lambda: committee(points, labels, classes))  # noqa: B023
        begun = time.perf_counter()
        ready = len(np.unique(labels[labels >= 0])) > 1
        chosen = rule if ready or not rule.needs_classes else registry.rule_named("random")
        picked = chosen.pick(pool, step, rng)
        seconds += time.perf_counter() - begun
        labels[picked] = hidden[picked]
        known = labels >= 0
        for name, scorer in SCORERS.items():
            stacked = np.concatenate([points[known], features[test_rows]])
            taught = np.concatenate([labels[known], np.full(len(test_rows), -1)])
            several = len(np.unique(labels[known])) > 1
            answers = scorer(stacked, taught, classes)[known.sum() :].argmax(1) if several else labels[known][0]
            curve[name].append(float((answers == truth[test_rows]).mean()))
    return {"seed": seed, "curve": curve, "seconds": seconds, "pool": len(points), "test": len(test_rows)}


def parted(truth: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two thirds and one third of each class."""
    pool, test = [], []
    for number in np.unique(truth):
        rows = rng.permutation(np.flatnonzero(truth == number))
        cut = round(len(rows) * 2 / 3)
        pool += rows[:cut].tolist()
        test += rows[cut:].tolist()
    return np.array(sorted(pool)), np.array(sorted(test))


def show(rows: list[dict], scorer: str) -> None:
    """The mean accuracy of each rule after each step, and how many labels it needs for what random reaches."""
    by_rule: dict[str, dict[int, np.ndarray]] = {}
    for row in rows:
        by_rule.setdefault(row["rule"], {})[row["seed"]] = np.array(row["curve"][scorer])
    if not by_rule:
        return
    step = rows[0]["step"]
    length = min(len(curve) for curves in by_rule.values() for curve in curves.values())
    marks = sorted({0, 1, 2, 3, 4, 5, length // 2, length - 1} & set(range(length)))
    seeds = sorted(set.intersection(*(set(curves) for curves in by_rule.values())))
    print(f"\n{scorer}, {len(seeds)} seeds; accuracy after so many labels, 95% intervals over seeds")
    print("| rule | " + " | ".join(str(step * (mark + 1)) for mark in marks) + " | mean over the curve, minus random |")
    print("|---" * (len(marks) + 2) + "|")
    for name, curves in sorted(by_rule.items()):
        table = np.stack([curves[seed][:length] for seed in seeds])
        cells = ["{:.3f} ± {:.3f}".format(*mean_ci95(table[:, mark])) for mark in marks]
        against = ""
        if "random" in by_rule and name != "random":
            base = np.stack([by_rule["random"][seed][:length] for seed in seeds])
            against = "{:+.3f} ± {:.3f}".format(*paired_difference(table.mean(1), base.mean(1)))
        print(f"| {name} | " + " | ".join(cells) + f" | {against} |")
    if "random" in by_rule:
        print_needed(by_rule, seeds, step, length)


def print_needed(by_rule: dict[str, dict[int, np.ndarray]], seeds: list[int], step: int, length: int) -> None:
    """Labels that the mean curve of each rule needs for the scores that random has at some counts.

    Behind each stands the share of random's labels that this is, with its 95% interval by drawing seeds again.
    """
    curves = {name: np.stack([kept[seed][:length] for seed in seeds]) for name, kept in sorted(by_rule.items())}
    draws = np.random.default_rng(0).integers(0, len(seeds), (DRAWS, len(seeds)))
    counts = [count for count in range(2 * step, 11 * step, step) if count // step - 1 < length]
    print("\n| labels of random | its accuracy | " + " | ".join(curves) + " |")
    print("|---" * (len(curves) + 2) + "|")
    for count in counts:
        goal = curves["random"].mean(0)[count // step - 1]
        cells = []
        for table in curves.values():
            labels = needed(table.mean(0), goal, step)
            shares = [
                needed(table[draw].mean(0), curves["random"][draw].mean(0)[count // step - 1], step) / count
                for draw in draws
            ]
            low, high = np.quantile(shares, [0.025, 0.975])
            cells.append(f"{labels:.0f}: {labels / count:.2f} ({low:.2f} - {high:.2f})")
        print(f"| {count} | {goal:.3f} | " + " | ".join(cells) + " |")


def needed(curve: np.ndarray, goal: float, step: int) -> float:
    """Labels at which a curve first reaches a score, by straight lines between its points.

    The first step where that is enough already; infinite where it never does.
    """
    reached = np.flatnonzero(curve >= goal)
    if not len(reached):
        return float("inf")
    place = int(reached[0])
    if place == 0:
        return float(step)
    before, after = curve[place - 1], curve[place]
    return step * (place + (goal - before) / (after - before))


if __name__ == "__main__":
    main()
