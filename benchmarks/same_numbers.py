"""Does the code still give the same numbers? Recorded before a change, compared to the last digit after it.

python benchmarks/same_numbers.py record before.json                         # at the commit before
python benchmarks/same_numbers.py record after.json --stored before-home     # at the commit after
python benchmarks/same_numbers.py compare before.json after.json             # exits 1 where anything differs

Recorded are the metrics and every training curve of each preset that runs offline (shrunk to seconds), of a classify
and a detect run that were stopped and resumed, and what a checkpoint of each kind predicts; `--stored` also predicts
with the checkpoints that an earlier record left in its home folder. On the CPU, in one thread, at fixed seeds.
"""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

VIT = {"model.backbone": "timm/vit_tiny_patch16_224?random", "model.image_size": 64, "train.epochs": 1}
VIT["data.train"] = "builtin:glyphs?classes=4&per_class=12"
SCENES = {"data.train": "builtin:scenes?images=16&size=96&classes=3", "model.image_size": 96, "train.epochs": 1}
EPISODES = {"eval.episodes": 50}
TWO_FONTS = {
    "data.source": "builtin:glyphs?domain=sans-bold&classes=6&per_class=10",
    "data.target": "builtin:glyphs?domain=stix&classes=6&per_class=10",
}
#: what is set on top of each shipped preset, so that it takes seconds; the others need files or weights
PRESETS: dict[str, dict[str, Any]] = {
    "quickstart": EPISODES,
    "fewshot-photos": {**EPISODES, "model.image_size": 96},
    "fewshot-cross-domain": {**EPISODES, "model.image_size": 96},
    "compare-heads": {**EPISODES, "model.image_size": 96},
    "omniglot-maml": {"params.steps_per_epoch": 5, "train.epochs": 1, "eval.episodes": 20},
    "omniglot-protonet": {"params.steps_per_epoch": 5, "train.epochs": 1, "eval.episodes": 20},
    "pmf": {
        "data.train": "builtin:glyphs?classes=20&per_class=20&size=96", "params.steps_per_epoch": 2,
        "params.val_episodes": 2, "params.finetune_steps": 2, "eval.ways": 3, "train.epochs": 1, "eval.episodes": 2,
        "model.image_size": 64,
    },
    "linear-probe": {"data.train": "builtin:digits?per_class=20"},
    "small-data-cnn": {"data.train": "builtin:glyphs?classes=5&per_class=12", "model.image_size": 96},
    "transfer-regularizers": {
        "data.train": "builtin:glyphs?classes=4&per_class=10", "model.image_size": 64, "train.epochs": 1,
    },
    "vit-finetune": VIT,
    "vit-lora": VIT,
    "vit-lpft": VIT,
    "align-compare": {**TWO_FONTS, "model.image_size": 96},
    "pacs-shallow": {**TWO_FONTS, "model.image_size": 96, "method": "align/tca"},
    "align-table": {"params.methods": "coral, tca, jda, meda"},
    "rank-backbones": {"data.train": "builtin:glyphs?classes=5&per_class=12", "model.image_size": 64},
    "rank-gap": {},
    "detect-quick": {**SCENES, "train.epochs": 2},
    "faster-rcnn-finetune": SCENES,
    "rtdetr-finetune": SCENES,
    "detr-finetune": SCENES,
    "detr-vs-cnn": {**SCENES, "data.test": "builtin:scenes?images=8&size=96&classes=3&seed=1"},
    "detect-few-shot": {
        "data.train": "builtin:scenes?images=40&size=96&classes=5&seed=1", "params.base_epochs": 1,
        "data.test": "builtin:scenes?images=12&size=96&classes=5&seed=2", "train.epochs": 1,
        "params.base": "builtin:scenes?images=24&size=96&classes=3",
    },
    "scenes-clear-to-fog": {
        "data.source": "builtin:scenes?images=16&size=96&classes=3", "params.burn_in": 2, "train.epochs": 2,
        "data.target": "builtin:scenes?images=16&size=96&classes=3&look=fog&seed=1",
        "data.test": "builtin:scenes?images=8&size=96&classes=3&look=fog&seed=2",
    },
}  # fmt: skip
#: runs that are stopped in the middle and resumed
RESUMED: dict[str, dict[str, Any]] = {
    "classify": {
        "method": "finetune/full", "model": {"backbone": "pip/tf_efficientnet_lite0", "image_size": 64},
        "data": {"train": "builtin:glyphs?classes=5&per_class=16"},
        "train": {"epochs": 3, "batch_size": 16, "ema": 0.9, "mixup": 0.2, "augment": "rand"},
    },
    "detect": {
        "task": "detect", "method": "detect/fcos", "data": {"train": SCENES["data.train"]},
        "model": {"backbone": "pip/tf_efficientnet_lite0", "image_size": 96},
        "params": {"width": 32, "depth": 1}, "train": {"epochs": 3, "batch_size": 4, "ema": 0.9, "mosaic": 0.3},
    },
}  # fmt: skip
#: the preset whose checkpoint stands for its kind
KINDS = {
    "fewshot": "quickstart", "meta": "omniglot-protonet", "finetune": "small-data-cnn", "lora": "vit-lora",
    "detect": "detect-quick", "transformer detector": "rtdetr-finetune", "adapted detector": "scenes-clear-to-fog",
    "align": "align-compare",
}  # fmt: skip
STOP_AFTER = 3  # steps, and the run is stopped
MEASURED = re.compile(r"seconds|_per_s|memory|_mb$|_ms$|^time|^run$|^checkpoint")


def record(out: Path, stored: Path | None, parts: Sequence[str]) -> None:
    """Writes all numbers to `out`; runs and checkpoints stay in the folder `<out>-home` beside it."""
    import torch

    from studio.core.home import Home

    torch.set_num_threads(1)
    home = Home.find(out.with_name(out.stem + "-home"))
    kept = home.root / "numbers.json"  # a record that was interrupted goes on
    numbers = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {"presets": {}, "resumed": {}}
    works = {"presets": (PRESETS, run_preset), "resumed": (RESUMED, run_in_two)}
    for part in parts:
        recipes, work = works[part]
        for name in [name for name in recipes if name not in numbers[part]]:
            began = time.monotonic()
            numbers[part][name] = work(name, recipes[name], home)
            kept.write_text(json.dumps(numbers), encoding="utf-8")
            print(f"{part}: {name}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    if "presets" in parts:
        kinds = {kind: numbers["presets"][preset]["checkpoint"] for kind, preset in KINDS.items()}
        (home.root / "kinds.json").write_text(json.dumps(kinds), encoding="utf-8")
        numbers["predictions"] = predictions(home)
    if stored is not None:
        numbers["stored predictions"] = predictions(Home.find(stored))
    out.write_text(json.dumps(numbers, indent=1, sort_keys=True), encoding="utf-8")


def run_preset(name: str, changes: dict[str, Any], home: Any) -> dict[str, Any]:
    from studio import run

    result = run(name, {**changes, "device": "cpu"}, home=home)
    return {"metrics": result.metrics, "curves": curves(home, result.run), "checkpoint": result.checkpoint}


def run_in_two(name: str, recipe: dict[str, Any], home: Any) -> dict[str, Any]:
    """A run that is stopped after a few steps, and resumed to its end."""
    from studio.core import recipe as recipes
    from studio.runs.executors import run_inline
    from studio.runs.runner import submit
    from studio.store import Store

    run = submit(recipes.parse({**recipe, "device": "cpu"}), Store(home))

    def far_enough() -> bool:
        steps = [event["step"] for event in run.events() if event["kind"] == "scalar"]
        return max(steps, default=-1) + 1 >= STOP_AFTER

    with mock.patch("studio.runs.runner.StopWatch", lambda ask: ask):  # asked at every step, not some times a second
        stopped = run_inline(run, home, should_stop=far_enough)
    assert stopped.status == "stopped", stopped
    result = run_inline(run, home, resume=True, should_stop=lambda: False)
    assert result.status == "finished", result
    return {"metrics": result.metrics, "curves": curves(home, run.id)}


def curves(home: Any, run: str) -> dict[str, list[tuple[int, float]]]:
    """Every scalar of a run's events by name: (step, value)."""
    from studio.store import Store

    found: dict[str, list[tuple[int, float]]] = {}
    for event in Store(home).run(run).events():
        if event["kind"] == "scalar":
            found.setdefault(event["name"], []).append((event["step"], event["value"]))
    return found


def predictions(home: Any) -> dict[str, list[dict[str, Any]]]:
    """What the checkpoint of each kind in `home` predicts of four drawn images."""
    from studio import load_checkpoint

    kinds = json.loads((home.root / "kinds.json").read_text(encoding="utf-8"))
    images = drawn_images()
    return {kind: load_checkpoint(name, home=home, device="cpu").predict(images) for kind, name in kinds.items()}


def drawn_images() -> list[Any]:
    """Two letters and two scenes as images."""
    from studio.data import open_data, read_image

    specs = ("builtin:glyphs?classes=2&per_class=1", "builtin:scenes?images=2&size=96&classes=3&seed=5")
    items = [item for spec in specs for item in open_data(spec).items]
    return [read_image(item.source, item.name) for item in items]


def compare(before: Path, after: Path) -> list[str]:
    """A line for each number that differs, times and memory left out."""
    one, two = (json.loads(path.read_text(encoding="utf-8")) for path in (before, after))
    if "stored predictions" in two:  # of the checkpoints that `before` left
        one["stored predictions"] = one["predictions"]
    return differences(one, two)


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in dict.fromkeys([*before, *after]) if not MEASURED.search(key)]
        return [line for key in keys for line in differences(before.get(key), after.get(key), f"{path}/{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            line for place, pair in enumerate(zip(before, after, strict=True))
            for line in differences(*pair, f"{path}[{place}]")
        ]  # fmt: skip
    return [] if before == after or (before != before and after != after) else [f"{path}: {before} | {after}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("out", type=Path)
    recording.add_argument("--stored", type=Path, help="home folder of an earlier record")
    recording.add_argument("--resumed-only", action="store_true", help="leave out the presets and the checkpoints")
    comparing = commands.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "record":
        record(arguments.out, arguments.stored, ("resumed",) if arguments.resumed_only else ("presets", "resumed"))
        return 0
    lines = compare(arguments.before, arguments.after)
    print("\n".join(lines) or "The same to the last digit.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
