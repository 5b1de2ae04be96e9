"""What a run was said to cost beside what it did cost, for shipped presets that need nothing but this machine.

    python benchmarks/cost.py OUT.jsonl [PRESET ...] [--probe-s 30] [--limit-s 900] [--again] [--set KEY=VALUE]

Each preset in a home of its own: a probe of at most `--probe-s` seconds of work, then the run itself in a new process,
as `launch.py run` does it. With `--again` a second run of another seed, told from the first. A row each, which a second
call does not measure again; runs longer than `--limit-s` are ended and say so. At the end the share of estimates within
a factor of 1.5, and within the interval that was stated. `--set` changes the presets of a call, such as their epochs
where a whole run is too long.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from studio.core import recipe as recipes
from studio.core.home import Home
from studio.runs import cost

#: shipped presets whose data are drawn on the spot and whose weights came with pip, the quick ones first
OFFLINE = (
    "quickstart", "align-compare", "linear-probe", "rank-gap", "rank-backbones", "colour-match", "fewshot-photos",
    "fewshot-cross-domain", "compare-heads", "pacs-shallow", "reid-quick", "digits-adapt", "open-osbp", "partial-pada",
    "small-data-cnn", "align-table", "heterogeneous", "colored-mnist", "osnet", "omniglot-protonet", "ir-to-visible",
    "clear-to-night", "segment-quick", "omniglot-maml", "pacs-generalize", "detect-few-shot", "pmf",
    "scenes-clear-to-fog", "scenes-clear-to-night", "cluster-contrast", "mmt", "faster-rcnn-finetune", "detect-quick",
    "film-style", "generalize-table", "transfer-regularizers", "animals", "rtdetr-finetune", "detr-vs-cnn",
    "detr-finetune",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("presets", nargs="*", default=OFFLINE)
    parser.add_argument("--probe-s", type=float, default=cost.PROBE_S)
    parser.add_argument("--limit-s", type=float, default=900.0)
    parser.add_argument("--again", action="store_true", help="a second run, told from the first")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="keys")
    asked = parser.parse_args()
    rows = [json.loads(line) for line in asked.out.read_text().splitlines()] if asked.out.exists() else []
    known = {key_of(row) for row in rows}
    for preset in asked.presets:
        if (preset, tuple(asked.keys), asked.again) in known:
            continue
        with tempfile.TemporaryDirectory() as folder:
            for row in measured(preset, Home.find(Path(folder)), asked):
                if key_of(row) in known:
                    continue
                rows.append(row)
                with asked.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                show(row)
    summary(rows)
    return 0


def key_of(row: dict) -> tuple[str, tuple[str, ...], bool]:
    """What is measured once: a preset, changed or not, told by a probe or by a past run."""
    return row["preset"], tuple(row.get("set", [])), row["source"] == "past"


def measured(preset: str, home: Home, asked: argparse.Namespace) -> list[dict]:
    """A row for the probe and the run it foretold; with `again` a row for the run that the first one foretold."""
    rows = []
    for seeded in [["train.seed=0"], ["train.seed=1"]] if asked.again else [[]]:
        keys = asked.keys + seeded
        recipe = recipes.load(preset, keys, home)
        estimate = cost.estimate(recipe, home, asked.probe_s)
        assert estimate is not None
        told = {"preset": preset, "set": asked.keys, **estimate.to_dict()}
        rows.append({**told, **true_cost(preset, keys, home, asked.limit_s)})
    return rows


def true_cost(preset: str, keys: list[str], home: Home, limit_s: float) -> dict:
    """Seconds and memory of the run itself, in a process of its own; `load` is what else the machine does."""
    changes = [part for pair in keys for part in ("--set", pair)]
    argv = [sys.executable, "launch.py", "run", preset, *changes, "--json", "--quiet"]
    environment = {**os.environ, "STUDIO_HOME": str(home.root)}
    load = os.getloadavg()[0]
    try:
        ended = subprocess.run(argv, env=environment, capture_output=True, timeout=limit_s, text=True)
    except subprocess.TimeoutExpired:
        return {"true_s": None, "true_mb": None, "load": load}
    result = json.loads(ended.stdout.strip().splitlines()[-1])
    assert result["status"] == "finished", result["error"]
    status = next(e for e in reversed(events_of(home, result["run"])) if e["kind"] == "status")
    return {"true_s": result["seconds"], "true_mb": status["peak_memory_mb"], "load": load}


def events_of(home: Home, run: str) -> list[dict]:
    return [json.loads(line) for line in (home.runs / run / "events.jsonl").read_text().splitlines()]


def show(row: dict) -> None:
    if row["true_s"] is None:
        print(f"{row['preset']:24}{row['source']:8}{row['seconds']:8.1f} s told, not over at the limit", flush=True)
        return
    memory = f"{row['memory_mb'] or 0:7.0f} of {row['true_mb']:5.0f} MB"
    print(
        f"{row['preset']:24}{row['source']:8}{row['seconds']:8.1f} s told {row['true_s']:8.1f} s true  "
        f"x {row['seconds'] / row['true_s']:.2f}  {memory}  load {row['load']:.1f}",
        flush=True,
    )


def summary(rows: list[dict]) -> None:
    """How many estimates were right, for each way of telling."""
    for source in ("past", "probe", "broken"):
        done = [row for row in rows if row["source"] == source and row["true_s"] is not None]
        if done:
            near = sum(1 / 1.5 <= row["seconds"] / row["true_s"] <= 1.5 for row in done)
            inside = sum(row["low_s"] <= row["true_s"] <= row["high_s"] for row in done)
            memory = sum(1 / 1.5 <= (row["memory_mb"] or 0) / row["true_mb"] <= 1.5 for row in done)
            print(f"{source}: {near} of {len(done)} within 1.5, {inside} in their interval, memory {memory}")


if __name__ == "__main__":
    sys.exit(main())
