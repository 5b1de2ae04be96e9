"""Leave-one-alphabet-out on Omniglot small1: meta-train on four alphabets, score 5-way 1-shot tasks of the fifth.

    python benchmarks/fewshot_omniglot.py --out results.jsonl --data DATA --methods maml --held Greek     one fold
    python benchmarks/fewshot_omniglot.py --out results.jsonl --data DATA                                 all of them
    python benchmarks/fewshot_omniglot.py --out results.jsonl                                             the table

DATA is omniglot_small1.zip, or Omniglot as a folder. Each fold goes through `studio.run` and adds one line to the
results. A fold that is there already, with the same settings, is not run again, so the work can be cut into pieces.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from studio.api import run
from studio.core.home import Home
from studio.metrics import mean_ci95

ALPHABETS = ("Balinese", "Early_Aramaic", "Greek", "Korean", "Latin")
EPOCHS = 5
#: how long each method trains, and with what: a minute of one core a fold or less
METHODS: dict[str, dict[str, Any]] = {
    "protonet": {"steps": 300, "train_ways": 20, "train_queries": 5},
    "matching-networks": {"steps": 300, "train_ways": 20, "train_queries": 5},
    "anil": {"steps": 200, "tasks": 4, "inner_lr": 0.1, "inner_steps": 5, "train_queries": 5},
    "maml": {"steps": 450, "tasks": 2, "inner_lr": 0.4, "inner_steps": 1, "train_queries": 5},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", help="run the folds that are missing")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--held", nargs="*", default=list(ALPHABETS), choices=ALPHABETS)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other settings, also train.*")
    args = parser.parse_args()
    changes = {key: yaml.safe_load(value) for key, value in (pair.split("=", 1) for pair in args.set)}
    if args.data is None:
        return table(read(args.out), args.methods)
    for method in args.methods:
        settings = {**METHODS[method], **changes}
        for held in args.held:
            done = [(row["method"], row["held"], row["settings"]) for row in read(args.out)]
            if (method, held, settings) not in done:
                row = fold(args.data, method, held, settings)
                with args.out.open("a", encoding="utf-8") as file:
                    print(json.dumps(row), file=file)
                print(json.dumps(row), flush=True)


def fold(data: str, method: str, held: str, settings: dict[str, Any]) -> dict[str, Any]:
    params = {key: value for key, value in settings.items() if key != "steps" and not key.startswith("train.")}
    train = {key.removeprefix("train."): value for key, value in settings.items() if key.startswith("train.")}
    kept = "+".join(name for name in ALPHABETS if name != held)
    recipe = {
        "method": f"fewshot/{method}",
        "device": "cpu",
        "model": {"backbone": "studio/conv4?in_chans=1", "image_size": 28},
        "data": {"train": f"omniglot:{data}?alphabets={kept}", "test": f"omniglot:{data}?alphabets={held}"},
        "params": {"rotations": "train", "steps_per_epoch": settings["steps"] // EPOCHS, "val_episodes": 30, **params},
        "train": {"epochs": EPOCHS, "lr": 0.003, "weight_decay": 0.0005, "workers": 1, **train},
        "eval": {"ways": 5, "shots": 1, "queries": 15, "episodes": 400},
    }
    with tempfile.TemporaryDirectory() as folder:
        result = run(recipe, home=Home.find(Path(folder)))
    if result.status != "finished":
        raise SystemExit(f"The fold was {result.status}; it is not in the results.")
    return {
        "method": method,
        "held": held,
        **{name: round(float(result.metrics[name]), 4) for name in ("accuracy", "accuracy_ci95")},
        "seconds": round(result.seconds),
        "settings": settings,
    }


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def table(rows: list[dict[str, Any]], methods: list[str]) -> None:
    """The last fold of each method with its own settings, and their mean with the interval over folds."""
    found = {(row["method"], row["held"]): row for row in rows if row["settings"] == METHODS[row["method"]]}
    print("| held out |", " | ".join(methods), "|\n|" + "---|" * (len(methods) + 1))
    for held in ALPHABETS:
        cells = [found.get((method, held)) for method in methods]
        print(f"| {held.replace('_', ' ')} |", " | ".join(_cell(row) for row in cells), "|")
    print("| mean over folds, 95% of five |", " | ".join(_mean(found, method) for method in methods), "|")
    print("| seconds a fold |", " | ".join(_seconds(found, method) for method in methods), "|")


def _cell(row: dict[str, Any] | None) -> str:
    return "not run" if row is None else f"{100 * row['accuracy']:.1f} ± {100 * row['accuracy_ci95']:.1f}"


def _mean(found: dict[tuple[str, str], dict[str, Any]], method: str) -> str:
    values = [row["accuracy"] for (name, _), row in found.items() if name == method]
    if len(values) < len(ALPHABETS):
        return ""
    mean, half = mean_ci95(np.array(values))
    return f"{100 * mean:.1f} ± {100 * half:.1f}"


def _seconds(found: dict[tuple[str, str], dict[str, Any]], method: str) -> str:
    values = [row["seconds"] for (name, _), row in found.items() if name == method]
    return f"{np.median(values):.0f}" if values else ""


if __name__ == "__main__":
    main()
