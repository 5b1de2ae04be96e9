"""Does the interval for new photos hold? Draws of a few photos, each taught, then asked about all the others.

    python benchmarks/expected_accuracy.py FOLDER [FOLDER ...] [--draws 50] [--photos 30] [--method fewshot/prototypes]

Each FOLDER has one sub-folder a class; draws go round the folders. `--draw classes` takes as many photos of each class
as it can, `--draw random` any photos, and then classes come unequal, once in a while alone or not at all. Printed is
the share of draws in which expected_accuracy_low <= accuracy on the other photos <= expected_accuracy_high.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from studio import run
from studio.core.home import Home
from studio.data import open_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--photos", type=int, default=30)
    parser.add_argument("--draw", choices=["classes", "random"], default="classes")
    parser.add_argument("--method", default="fewshot/prototypes")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="more of the recipe")
    parser.add_argument("--home", type=Path, help="keeps features and runs here; else nothing is kept")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = [one_draw(args, number, Path(scratch)) for number in range(args.draws)]
    table = np.array(rows)  # low, expected, high, measured
    held = (table[:, 0] <= table[:, 3] + 1e-9) & (table[:, 3] <= table[:, 2] + 1e-9)
    result = {
        "method": args.method, "draw": args.draw, "draws": len(table), "covered": float(held.mean()),
        "expected": float(table[:, 1].mean()), "measured": float(table[:, 3].mean()),
        "width": float((table[:, 2] - table[:, 0]).mean()),
        "below": float((table[:, 3] < table[:, 0] - 1e-9).mean()),
        "above": float((table[:, 3] > table[:, 2] + 1e-9).mean()),
    }  # fmt: skip
    print(json.dumps(result) if args.json else "\n".join(f"{name:10s} {value}" for name, value in result.items()))


def one_draw(args: argparse.Namespace, number: int, scratch: Path) -> tuple[float, float, float, float]:
    """Bounds and value that a run expects, and the accuracy that its checkpoint has on all other photos."""
    folder = args.folders[number % len(args.folders)].resolve()
    dataset = open_data(f"folder:{folder}")
    labels, rng = dataset.labels, np.random.default_rng(number)
    order = rng.permutation(len(labels))
    if args.draw == "classes":  # the first photo of each class, then the second of each, ...
        rank = np.empty(len(labels))
        for label in rng.permutation(len(dataset.classes)):
            members = order[labels[order] == label]
            rank[members] = np.arange(len(members)) + label / 1000
        order = order[np.argsort(rank[order], kind="stable")]
    parts = {"given": order[: args.photos], "unseen": order[args.photos :]}
    known = {labels[place] for place in parts["given"]}
    parts["unseen"] = [place for place in parts["unseen"] if labels[place] in known]
    specs = {}
    for name, places in parts.items():
        lines = [f"{dataset.items[place].name},{dataset.classes[labels[place]]}" for place in places]
        (scratch / f"{name}.csv").write_text("\n".join(lines))
        specs[name] = f"list:{scratch / f'{name}.csv'}?root={folder}"
    recipe: dict[str, Any] = {"method": args.method, "device": "cpu"}
    recipe |= {"eval.episodes": 1, "eval.ways": 2, "eval.shots": 1}
    recipe |= dict(pair.split("=", 1) for pair in args.set)
    recipe["data.train"] = specs["given"]
    home = Home.find(args.home or scratch / "home")
    first = run("fewshot-photos", recipe, home=home)
    again = {"data.test": specs["unseen"]}
    if not args.method.startswith("finetune/linear-probe"):  # which is solved anew, to the same end
        again |= {"train.epochs": 0, "model.checkpoint": first.checkpoint}
    measured = run("fewshot-photos", {**recipe, **again}, home=home).metrics["accuracy"]
    names = ("expected_accuracy_low", "expected_accuracy", "expected_accuracy_high")
    return (*(first.metrics[name] for name in names), measured)


if __name__ == "__main__":
    main()
