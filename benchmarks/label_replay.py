"""Labelling replayed, rule by rule: what the benchmarks of boxes and of masks share.

A seed draws the pool among the images of train and val. The first images are chosen by the rule itself where it can
begin without a student, at random else. After each of `--labels` a student learns what is labelled so far and is scored
on the images of test; where there are none on those of val, which are then in no pool. Nothing is chosen by what is
scored. Rules are those of the studio that look at no classes, and `unsure`: images that the student is least sure of,
as last taught. Rows go into `--out`, a JSON line a rule and seed; what is there is not done again.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from studio.core import registry
from studio.core.home import Home
from studio.core.labelling import Pool
from studio.data.features.cache import extract
from studio.data.items import Dataset
from studio.metrics.intervals import mean_ci95, paired_difference

RULES = ("random", "unsure", "k-center", "typiclust")
Row = dict[str, Any]


class Student(Protocol):
    """Learns from images of one data set, named by their rows in it."""

    def learn(self, rows: list[int], scored: list[int], seed: int) -> float:
        """Learns these from where it always begins, and returns its score 0..1 on others."""

    def doubt(self, row: int) -> float:
        """How unsure it is of an image, as last taught."""

    def drawn(self, row: int) -> int:
        """Things that had to be drawn in an image."""


def parser(about: str | None, **defaults: Any) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data")
    made.add_argument("--backbone", default="pip/tf_efficientnet_lite0")
    made.add_argument("--rules", nargs="*", default=RULES)
    made.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3])
    made.add_argument("--labels", type=int, nargs="*", default=[4, 8, 16, 32], help="images labelled so far")
    made.add_argument("--pool", type=int, help="images that a seed draws")
    made.add_argument("--size", type=int, help="pixels a side")
    made.add_argument("--minutes", type=float, default=1e9, help="no row is begun after so many")
    made.add_argument("--figure", help="a PNG file to write")
    made.add_argument("--out", type=Path)
    made.set_defaults(**defaults)
    return made


def replay(args: argparse.Namespace, data: Dataset, student: Student, home: Home) -> None:
    """All rows that are asked for and not there yet, then the table of all."""
    begun = time.monotonic()
    rows = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []
    done = {(row["rule"], row["seed"]) for row in rows}
    features, _ = extract(data, registry.backbone(args.backbone, home=home), home=home)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    for seed in args.seeds:
        for rule in args.rules:
            if (rule, seed) in done or time.monotonic() - begun > 60 * args.minutes:
                continue
            since = time.monotonic()
            row = {"rule": rule, "seed": seed, **_curve(args, data, features, student, rule, seed)}
            rows.append({**row, "seconds": time.monotonic() - since})
            with open(args.out, "a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(rule, seed, [round(score, 3) for score in row["scores"]], f"{rows[-1]['seconds']:.0f} s", flush=True)
    by_rule = _by_rule(rows)
    if len(next(iter(by_rule.values()), [])) > 1:
        _show(by_rule, args.labels)
        if args.figure:
            _plot(by_rule, args.labels, args.figure)


def _curve(
    args: argparse.Namespace, data: Dataset, features: np.ndarray, student: Student, rule: str, seed: int
) -> Row:
    """The score, and the things that had to be drawn, after each number of images."""
    rng = np.random.default_rng(seed)
    test = "test" if "test" in data.splits else "val"
    others = [row for name, rows in data.splits.items() if name != test for row in rows]
    pool = np.sort(rng.permutation(others)[: args.pool])
    labels = np.full(len(pool), -1)
    scores, drawn = list[float](), list[int]()
    for count in args.labels:
        wanted = count - int((labels >= 0).sum())
        if rule == "unsure":
            chosen = _unsure(student if scores else None, pool, np.flatnonzero(labels < 0), rng)[:wanted]
        else:
            of_pool = Pool(features[pool], labels, labels < 0, lambda: None)
            chosen = registry.rule_named(rule).pick(of_pool, wanted, rng)
        labels[chosen] = 0
        known = pool[labels >= 0].tolist()
        scores.append(student.learn(known, list(data.splits[test]), seed))
        drawn.append(sum(student.drawn(row) for row in known))
    return {"labels": args.labels, "scores": scores, "drawn": drawn, "pool": len(pool), "test": len(data.splits[test])}


def _unsure(student: Student | None, pool: np.ndarray, waiting: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Those that wait, by how unsure a student is of them; shuffled where nobody was taught."""
    waiting = rng.permutation(waiting)
    if student is None:
        return waiting
    return waiting[np.argsort([-student.doubt(int(pool[place])) for place in waiting], kind="stable")]


def _by_rule(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of each rule, of the seeds that all rules have, in their order."""
    found: dict[str, dict[int, Row]] = {}
    for row in rows:
        found.setdefault(row["rule"], {})[row["seed"]] = row
    seeds = sorted(set.intersection(*(set(kept) for kept in found.values()))) if found else []
    return {rule: [kept[seed] for seed in seeds] for rule, kept in found.items()}


def _percent(rows: list[Row]) -> np.ndarray:
    """Scores [seeds, numbers of images]."""
    return 100 * np.array([row["scores"] for row in rows])


def _show(by_rule: dict[str, list[Row]], labels: list[int]) -> None:
    """Mean score and things drawn of each rule, with 95% intervals over seeds."""
    seeds = len(next(iter(by_rule.values())))
    print(f"\n{seeds} seeds; percent after so many images, 95% intervals over seeds; things drawn in brackets")
    print("| rule | " + " | ".join(map(str, labels)) + " | mean of the curve, minus random |")
    print("|---" * (len(labels) + 2) + "|")
    for rule, rows in by_rule.items():
        scores, drawn = _percent(rows), np.array([row["drawn"] for row in rows]).mean(0)
        cells = ["{:.1f} ± {:.1f} ({:.0f})".format(*mean_ci95(scores[:, n]), drawn[n]) for n in range(len(labels))]
        against = ""
        if rule != "random" and "random" in by_rule:
            against = "{:+.1f} ± {:.1f}".format(*paired_difference(scores.mean(1), _percent(by_rule["random"]).mean(1)))
        print(f"| {rule} | " + " | ".join(cells) + f" | {against} |")


def _plot(by_rule: dict[str, list[Row]], labels: list[int], path: str) -> None:
    from studio.figures.style import COLOURS, figure, tidy

    made = figure(5.6, 3.4)
    axes = made.add_subplot()
    for rule, colour in zip(by_rule, COLOURS, strict=False):
        means, halves = np.array([mean_ci95(column) for column in _percent(by_rule[rule]).T]).T
        axes.plot(labels, means, marker="o", markersize=3, color=colour, label=rule)
        axes.fill_between(labels, means - halves, means + halves, color=colour, alpha=0.12, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(labels, [str(count) for count in labels])
    axes.set(xlabel="images labelled", ylabel="score, %")
    axes.legend(frameon=False, fontsize=8)
    tidy(axes, grid="y")
    made.savefig(path, dpi=110)
