"""What label-free scores say of alignment on real photos: does the choice between method and source only pay?

    python benchmarks/align_fallback.py --groups ../shared/data/office_mini ../shared/data/pacs_mini [--seed 0]
        [--methods tca ot jda coral meda] [--backbone pip/tf_efficientnet_lite0] [--home FOLDER]

A group is a folder whose sub-folders are domains of the same classes; every ordered pair of them is a task. Each method
has its defaults, and source only the method's classifier. The scores see no target label; accuracies alone do.
Prints each task's numbers, then two tables in percent: accuracies by method, with what `circular` keeps; and what each
score keeps over all, and how many of the cases in which a method is below source only it warns of.
"""

import argparse
import tempfile
from itertools import permutations
from pathlib import Path

import numpy as np

from adapters.align.domains import Domain, Pair, TargetTruth, pair_of
from adapters.align.fallback import Comparison, compare, source_only
from adapters.align.procedure import fitted
from adapters.align.selection import SCORES
from studio.core import registry
from studio.core.home import Home
from studio.data import open_data
from studio.data.features.cache import extract

Cell = tuple[str, str, float, float, dict[str, Comparison]]  # group, method, its accuracy, source only's, by score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=["tca", "ot", "jda", "coral", "meda"])
    parser.add_argument("--backbone", default="pip/tf_efficientnet_lite0")
    parser.add_argument("--seed", type=int, default=0, help="of the scores that hold source samples out")
    parser.add_argument("--home", type=Path, help="keeps the features for another call")
    args = parser.parse_args()
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory() as scratch:
        home = Home.find(args.home or Path(scratch))
        backbone = registry.backbone(args.backbone, home=home)
        for group in args.groups:
            domains = {folder.name: opened(folder, backbone, home) for folder in sorted(group.iterdir())}
            for one, other in permutations(domains, 2):
                pair, truth = pair_of(domains[one], domains[other])
                for method in args.methods:
                    cells.append((f"{group.name}: {one}-{other}", method, *measured(method, pair, truth, args.seed)))
                    show_cell(cells[-1])
    for line in [*accuracies(cells), "", *verdicts(cells)]:
        print(line)


def opened(folder: Path, backbone, home: Home) -> Domain:
    dataset = open_data(f"folder:{folder}")
    features, kept = extract(dataset, backbone, home=home)
    return Domain(np.asarray(features, np.float64), kept.labels, kept.classes, images=True)


def measured(name: str, pair: Pair, truth: TargetTruth, seed: int) -> tuple[float, float, dict[str, Comparison]]:
    cls = registry.get(f"align/{name}")
    method = fitted(cls, cls.Params(), pair)
    plain = source_only(method, pair)
    found = {score: compare(method, plain, pair, score, seed) for score in SCORES}
    return accuracy(method, pair, truth), accuracy(plain, pair, truth), found


def accuracy(model, pair: Pair, truth: TargetTruth) -> float:
    return 100 * float((model.predict(pair.xt) == truth.labels).mean())


def show_cell(cell: Cell) -> None:
    task, name, aligned, plain, found = cell
    by = ", ".join(f"{score} {one.source_only:.3f} -> {one.method:.3f}" for score, one in found.items())
    print(f"{task} {name}: {plain:.1f} -> {aligned:.1f}; {by}", flush=True)


def kept(cell: Cell, score: str) -> float:
    return cell[3] if cell[4][score].harms else cell[2]


def accuracies(cells: list[Cell]) -> list[str]:
    lines = ["| domains | method | source only | method's own | circular keeps | tasks | harmed | harmed as kept |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|---:|")
    for group, name in dict.fromkeys((cell[0].partition(":")[0], cell[1]) for cell in cells):
        rows = [cell for cell in cells if cell[0].startswith(f"{group}:") and cell[1] == name]
        plain, own = ([cell[place] for cell in rows] for place in (3, 2))
        keeps = [kept(cell, "circular") for cell in rows]
        means = " | ".join(f"{np.mean(values):.1f}" for values in (plain, own, keeps))
        lines.append(f"| {group} | {name} | {means} | {len(rows)} | {below(own, plain)} | {below(keeps, plain)} |")
    return lines


def verdicts(cells: list[Cell]) -> list[str]:
    own, plain = [cell[2] for cell in cells], [cell[3] for cell in cells]
    print(f"{len(cells)} cases: source only {np.mean(plain):.1f}, method always {np.mean(own):.1f}, better of the two "
          f"{np.mean(np.maximum(own, plain)):.1f}; {below(own, plain)} harmed")  # fmt: skip
    lines = ["| score | keeps, % | warnings | of harm | of gain |", "|---|---:|---:|---:|---:|"]
    for score in SCORES:
        warned = [cell for cell in cells if cell[4][score].harms]
        harm, gain = (sum(sign * (cell[2] - cell[3]) > 0 for cell in warned) for sign in (-1, 1))
        mean = np.mean([kept(cell, score) for cell in cells])
        lines.append(f"| {score} | {mean:.1f} | {len(warned)} | {harm} | {gain} |")
    return lines


def below(values: list[float], others: list[float]) -> int:
    return sum(value < other for value, other in zip(values, others, strict=True))


if __name__ == "__main__":
    main()
