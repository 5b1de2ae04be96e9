"""Ants and bees with the shipped preset: full fine-tuning and LP-FT beside the linear probe.

    python benchmarks/finetune_hymenoptera.py --data ../shared/data/hymenoptera [--seeds 0 1 2 3 4] [--methods ...]

`last` is accuracy on val/ after the last epoch, for which nothing was chosen; `kept` is the number that the run
prints, of the epoch that is best on these same images. Each line is one run; `--out` keeps them, so that the runs
can be made in pieces. The table is printed over all lines of that file.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from studio import run
from studio.core.home import Home
from studio.metrics import mean_ci95
from studio.store import Store

METHODS = ("finetune/linear-probe", "finetune/full", "finetune/lp-ft")


def one(method: str, seed: int, data: str, home: Home) -> dict:
    values = {"method": method, "data.train": f"folder:{data}", "train.seed": seed}
    result = run("small-data-cnn", values, home=home)
    assert result.status == "finished", result.error
    events = Store(home).run(result.run).events()
    epochs = [event["value"] for event in events if event["kind"] == "scalar" and event["name"] == "val/accuracy"]
    kept = result.metrics["accuracy"]
    return {"method": method, "seed": seed, "last": epochs[-1] if epochs else kept, "kept": kept, "s": result.seconds}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="../shared/data/hymenoptera")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--out", type=Path, default=Path("hymenoptera.jsonl"))
    args = parser.parse_args()
    home = Home.find()
    for seed in args.seeds:
        for method in args.methods:
            line = json.dumps(one(method, seed, args.data, home))
            print(line, flush=True)
            with args.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
    lines = [json.loads(line) for line in args.out.read_text(encoding="utf-8").splitlines()]
    print("| method | last epoch | kept epoch | seconds |\n|---|---|---|---|")
    for method in dict.fromkeys(line["method"] for line in lines):
        mine = [line for line in lines if line["method"] == method]
        last, kept = (mean_ci95(np.array([line[name] for line in mine])) for name in ("last", "kept"))
        seconds = np.mean([line["s"] for line in mine])
        print(f"| {method} | {last[0]:.3f} ± {last[1]:.3f} | {kept[0]:.3f} ± {kept[1]:.3f} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
