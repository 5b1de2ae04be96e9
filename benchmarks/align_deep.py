"""Deep alignment: every closed-set method beside source only, by its own label-free selection.

    python benchmarks/align_deep.py ../shared/data/digits_mnist_usps.npz --cells cells.jsonl --seeds 0 1 2
        [--tasks mnist-usps usps-mnist] [--methods dann mcc] [--epochs 10] [--images 2000 1800] [--minutes 6]
    python benchmarks/align_deep.py ../shared/data/office_mini --cells office.jsonl --seeds 0 --epochs 3
        [--tasks webcam-dslr dslr-webcam] [--methods dann mcc] [--size 96]

A file has arrays mnist_x, mnist_y, usps_x, usps_y. As in Long et al. 2013, 2,000 images of MNIST and 1,800 of USPS
are drawn (with the seed); studio/lenet at 20 pixels learns them from scratch. A folder has a folder a domain, on which
pip/tf_efficientnet_lite0 is tuned. A fifth of the source is its validation. Every method has its defaults, and the same
batches and steps; source-free ones go on from the source-only run of the same seed. Each finished run is a line of
--cells, and is not run again; none is begun after --minutes, and the same command goes on. Prints the table of target
accuracies (mean and standard deviation over seeds; the difference to source only, paired over seeds and tasks, with its
95% interval), and what each selection would have kept: its accuracy, and its regret against the oracle, which sees
target labels.
"""

import argparse
import json
import time
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from yaml import safe_load

from studio import run
from studio.core.home import Home
from studio.metrics import paired_difference

METHODS = [
    "source-only", "ddc", "dan", "deep-coral", "jan", "dsan", "deep-jdot", "dann", "cdan", "adda", "mcd", "mdd",
    "wdgrl", "bsp", "mcc", "bnm", "entropy", "afn", "adabn", "dsbn", "transnorm", "fixmatch", "self-ensembling",
    "shot", "nrc",
]  # fmt: skip
SELECTIONS = ("source-val", "entropy", "diversity", "importance-weighted", "dev", "snd", "last", "oracle")
OF_DIGITS = {
    "model": {"backbone": "studio/lenet?in_chans=1&image_size=20"}, "params": {"backbone_lr": 1.0},
    "train": {"batch_size": 64, "lr": 0.002, "augment": "none"},
}  # fmt: skip
OF_PHOTOS = {
    "model": {"backbone": "pip/tf_efficientnet_lite0"}, "params": {},
    "train": {"batch_size": 16, "lr": 0.001, "augment": "flip"},
}  # fmt: skip
SETTING = ("epochs", "images", "augment", "params", "lr", "batch", "size")  # arguments that change a number
FROM_CHECKPOINT = ("shot", "nrc")  # source-free: they go on from the source-only run
Cell = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a file of digits, or a folder of domains")
    parser.add_argument("--cells", type=Path, default=Path("align-deep-cells.jsonl"), help="of one setting alone")
    parser.add_argument("--tasks", nargs="+", help="SOURCE-TARGET, SOURCE+SOURCE-TARGET (default: all pairs)")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", nargs=2, type=int, default=[2000, 1800], help="of MNIST and of USPS")
    parser.add_argument("--augment", choices=("none", "crop", "flip"), help="default: none of digits, flip of photos")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no run after these")
    parser.add_argument("--params", nargs="+", default=[], help="of every method trained on the source: statistics=own")
    parser.add_argument("--lr", type=float, help="train.lr, where not that of the setting")
    parser.add_argument("--batch", type=int, help="images of a domain in a step, where not those of the setting")
    parser.add_argument("--size", type=int, default=96, help="side of the photos in pixels")
    args = parser.parse_args()
    folders = sorted(folder.name for folder in args.data.iterdir()) if args.data.is_dir() else ["mnist", "usps"]
    args.tasks = args.tasks or ["-".join(pair) for pair in permutations(folders, 2)]
    cells = [json.loads(line) for line in args.cells.read_text().splitlines()] if args.cells.exists() else []
    setting = {name: getattr(args, name) for name in SETTING}
    others = [cell["setting"] for cell in cells if cell.get("setting", setting) != setting]
    if others:
        parser.error(f"{args.cells} has cells of another setting: {others[0]}. Name another file with --cells.")
    scratch = args.cells.with_suffix(".home")  # checkpoints of source only, for the next call
    scratch.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    for method, task, seed in wanted(args, cells):
        if time.monotonic() - begun > 60 * args.minutes:
            print("There is more to run: call again.")
            break
        cell = measured(
            method, task, seed, drawn(args, seed, scratch), start_of(cells, task, seed), args, Home.find(scratch)
        )
        cells.append({**cell, "setting": setting})
        with open(args.cells, "a", encoding="utf-8") as file:
            file.write(json.dumps(cells[-1]) + "\n")
        print(f"{task} {method} {seed}: {cell['accuracy']:.3f} ({cell['seconds']:.0f} s)", flush=True)
    print("\n".join([*table(cells), "", *selections(cells)]))


def wanted(args: argparse.Namespace, cells: list[Cell]) -> Iterator[tuple[str, str, int]]:
    """What is to be run yet, method by method, so that a table that is not whole yet has every task and seed."""
    done = {(cell["method"], cell["task"], cell["seed"]) for cell in cells}
    every = ((method, task, seed) for method in args.methods for task in args.tasks for seed in args.seeds)
    yield from (key for key in every if key not in done)


def start_of(cells: list[Cell], task: str, seed: int) -> str | None:
    """The source-only checkpoint of this task and seed."""
    key = ("source-only", task, seed)
    return next((cell["checkpoint"] for cell in cells if (cell["method"], cell["task"], cell["seed"]) == key), None)


def drawn(args: argparse.Namespace, seed: int, folder: Path) -> dict[str, str]:
    """A spec for each domain; images of digits are drawn once a seed."""
    if args.data.is_dir():
        return {domain.name: f"folder:{domain}" for domain in args.data.iterdir()}
    with np.load(args.data) as arrays:
        for name, count in zip(("mnist", "usps"), args.images, strict=True):
            path = folder / f"{name}-{seed}.npz"
            if not path.exists():
                rows = np.sort(np.random.default_rng(seed).permutation(len(arrays[f"{name}_y"]))[:count])
                np.savez(path, x=arrays[f"{name}_x"][rows], y=arrays[f"{name}_y"][rows])
    return {name: f"npz:{folder}/{name}-{seed}.npz" for name in ("mnist", "usps")}


def measured(
    method: str, task: str, seed: int, specs: dict[str, str], start: str | None, args: argparse.Namespace, home: Home
) -> Cell:
    source, _, target = task.partition("-")
    free = method in FROM_CHECKPOINT
    sources = ",".join(specs[name] for name in source.split("+"))
    data = {"target": specs[target], **({} if free else {"source": sources})}
    start = start if free else None
    own = OF_PHOTOS if args.data.is_dir() else OF_DIGITS
    size = {"image_size": args.size} if args.data.is_dir() else {}
    asked = {"augment": args.augment, "lr": args.lr, "batch_size": args.batch}
    changed = {name: value for name, value in asked.items() if value is not None}
    params = own["params"] | {name: safe_load(value) for name, value in (one.split("=") for one in args.params)}
    recipe = {
        "task": "align", "method": f"align/{method}", "data": data, "device": "cpu",
        "params": {} if free else params,
        "model": {**own["model"], **size, "checkpoint": start},
        "train": {**own["train"], **changed, "epochs": args.epochs, "seed": seed, "workers": 1},
        "eval": {} if free else {"source_only": False},
    }  # fmt: skip
    begun = time.monotonic()
    result = run(recipe, home=home)
    kept = {
        "method": method, "task": task, "seed": seed, "accuracy": result.metrics["target_accuracy"],
        "by": by_selection(epochs_of(home, result.run), free), "selection": result.metrics["selection"],
        "seconds": time.monotonic() - begun, "checkpoint": result.checkpoint,
    }  # fmt: skip
    return kept


def epochs_of(home: Home, run_id: str) -> list[dict[str, float]]:
    """The numbers of each epoch, as the event stream has them."""
    epochs: dict[int, dict[str, float]] = {}
    for line in (home.root / "runs" / run_id / "events.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["kind"] == "scalar" and event["name"].startswith("val/"):
            epochs.setdefault(event["step"], {})[event["name"].removeprefix("val/")] = event["value"]
    return [epochs[step] for step in sorted(epochs)]


def by_selection(epochs: list[dict[str, float]], source_free: bool) -> dict[str, float]:
    """The target accuracy (of 1,000 images) of the epoch that each selection keeps; collapsed epochs are out."""
    good = [epoch for epoch in epochs if epoch["score"] is not None] or epochs
    columns = {"source-val": "accuracy", "oracle": "target_accuracy"}
    kept = {"last": good[-1]["target_accuracy"]}
    for name in SELECTIONS:
        column = columns.get(name, name.replace("-", "_"))
        if name != "last" and column in good[0]:
            kept[name] = max(good, key=lambda epoch, column=column: epoch[column])["target_accuracy"]
    return kept


def table(cells: list[Cell]) -> list[str]:
    tasks = list(dict.fromkeys(cell["task"] for cell in cells))
    plain = {(cell["task"], cell["seed"]): cell["accuracy"] for cell in cells if cell["method"] == "source-only"}
    lines = ["| method | " + " | ".join(tasks) + " | minus source only | seeds | seconds a run |"]
    lines.append("|---|" + "---:|" * (len(tasks) + 3))
    for method in dict.fromkeys(cell["method"] for cell in cells):
        own = [cell for cell in cells if cell["method"] == method]
        shown = []
        for task in tasks:
            values = [100 * cell["accuracy"] for cell in own if cell["task"] == task]
            shown.append(f"{np.mean(values):.1f} ± {np.std(values):.1f}" if values else "")
        seeds = len({cell["seed"] for cell in own})
        pairs = [(cell["accuracy"], plain.get((cell["task"], cell["seed"]), np.nan)) for cell in own]
        difference, half = paired_difference(*(100 * np.array(side) for side in zip(*pairs, strict=True)))
        shown.append(f"{difference:+.1f} ± {half:.1f}" if method != "source-only" else "")
        lines.append(f"| {method} | {' | '.join(shown)} | {seeds} | {np.mean([c['seconds'] for c in own]):.0f} |")
    return lines


def selections(cells: list[Cell]) -> list[str]:
    """What each selection keeps on average over the methods that align, and what it loses to the oracle."""
    lines = ["| selection | accuracy, % | regret, points | largest regret |", "|---|---:|---:|---:|"]
    aligned = [cell["by"] for cell in cells if cell["method"] not in ("source-only", *FROM_CHECKPOINT)]
    for name in SELECTIONS if aligned else ():
        values = np.array([100 * by[name] for by in aligned])
        regrets = np.array([100 * by["oracle"] for by in aligned]) - values
        lines.append(f"| {name} | {values.mean():.1f} | {regrets.mean():.1f} | {regrets.max():.1f} |")
    return lines


if __name__ == "__main__":
    main()
