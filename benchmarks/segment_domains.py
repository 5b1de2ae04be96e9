"""Masks from one look to another: each method and each of its parts beside source only, over seeds.

    python benchmarks/segment_domains.py RESULTS.jsonl --data scenes --arms fda advent --seeds 0 1 2 [--cells 1]
    python benchmarks/segment_domains.py RESULTS.jsonl --data dusk --day FOLDER --dusk FOLDER
    python benchmarks/segment_domains.py RESULTS.jsonl --data night --day FOLDER --dusk FOLDER    (or fog)
    python benchmarks/segment_domains.py RESULTS.jsonl --table

One cell is one method and seed; what RESULTS has already is not run again, so short calls (--cells) add up. Every cell
of a seed starts from the same source-only network (kept beside RESULTS) and has as many steps. `scenes` are
builtin:scenes from clear to night, of which no scene comes twice. `dusk` is CamVid: FOLDER of the day has train/ and
val/ with images/ and masks/, of which frames that begin with 0001TP are left out; FOLDER of dusk has unlabelled/ and
test/. `night` and `fog` are CamVid too, each part a drive of its own: masks of 0016E5 as it is, images of 0001TP
(dusk's unlabelled/) in that look, scored on 0006R0 in it. In RESULTS is each epoch's mIoU on the target, of which the
labels chose nothing; the table reads from it what the last epoch, the best by the target's masks (oracle), and each
label-free score would have given.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_image, to_pil_image

from adapters.segment.domains.run.judging import HELD
from studio import run
from studio.core.home import Home
from studio.data.looks.restyle import Restyle
from studio.store import Store

Epoch = dict[str, float]  # what was watched after it
Curve = list[Epoch]

LIGHT = {"network_params": {"width": 64, "loss": "cross-entropy+dice", "backbone_lr": 1.0}}
SOURCE_LR = 0.003  # of the source-only network that all start from
SOURCE_EPOCHS = {"scenes": 48, "dusk": 16, "night": 16, "fog": 16}
SELF = {
    "weight": 1.0, "threshold": 0.9, "feature_distance": 0.0, "masked": 0.0, "block": 16, "mix": False, "warm_up": 0.0
}  # fmt: skip
ARMS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {  # method, params, train
    "source longer": ("segment/mic", {**SELF, "weight": 0.0}, {}),
    "style randomisation": ("segment/style-random", {}, {}),
    "fda": ("segment/fda", {}, {}),
    "fda + self-training": ("segment/fda", {"weight": 1.0, "threshold": 0.9}, {}),
    "minent": ("segment/advent", {"adversary": 0.0, "entropy": 0.01}, {}),
    "advent": ("segment/advent", {}, {}),
    "self-training": ("segment/mic", SELF, {}),
    "+ classmix": ("segment/mic", {**SELF, "mix": True}, {}),
    "+ rare classes": ("segment/mic", {**SELF, "mix": True}, {"rare_classes": 0.1}),
    "+ feature distance": ("segment/mic", {**SELF, "mix": True, "feature_distance": 0.005}, {"rare_classes": 0.1}),
    "+ mic": (
        "segment/mic",
        {**SELF, "mix": True, "feature_distance": 0.005, "masked": 1.0},
        {"rare_classes": 0.1},
    ),
    "translated": ("segment/cycada", {"adversary": 0.0}, {}),
    "cycada": ("segment/cycada", {}, {}),
    "hrda": ("segment/hrda", {"threshold": 0.9, "warm_up": 0.0}, {"rare_classes": 0.1}),
    "tent": ("segment/tent", {}, {"lr": 0.0001, "batch_size": 4}),
}
WATCHED = ("restyled", "entropy", "diversity", "miou", "target_miou", "target_classes", "score")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--data", default="scenes", choices=list(DATA))
    parser.add_argument("--day", type=Path)
    parser.add_argument("--dusk", type=Path)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--cells", type=int, default=1000, help="run at most so many")
    parser.add_argument("--minutes", type=float, default=4, help="of the translator that CyCADA takes")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="in every recipe, and a cell apart")
    parser.add_argument("--table", action="store_true", help="only print what there is")
    parser.add_argument("--score", default="restyled-spread", choices=list(RULES), help="that of the table")
    asked = parser.parse_args()
    if not asked.table:
        work(asked)
    for data in DATA:
        rows = [row for row in known(asked.results) if row["data"] == data and "miou" in row]
        show(rows, data, asked.score)
    return 0


def known(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def work(asked: argparse.Namespace) -> None:
    """Runs the cells that are not there yet, seed by seed."""
    there = {(row["data"], row["arm"], row["seed"], row["set"]) for row in known(asked.results)}
    home, extra, done = Home.find(asked.results.with_suffix(".home")), " ".join(asked.set), 0
    for seed in asked.seeds:
        for arm in ("source only", *asked.arms):
            if (asked.data, arm, seed, extra) in there or done >= asked.cells:
                continue
            start = checkpoint(known(asked.results), asked.data, seed, extra)
            row = cell(arm, recipe(arm, seed, start, asked), home)
            row |= {"data": asked.data, "seed": seed, "set": extra}
            with asked.results.open("a") as out:
                out.write(json.dumps(row) + "\n")
            print(f"{asked.data} {arm} seed {seed}: {row['miou']:.3f} in {row['seconds']:.0f} s", flush=True)
            done += 1


def checkpoint(rows: list[dict[str, Any]], data: str, seed: int, extra: str) -> str | None:
    """The source-only network of a seed."""
    mine = [row for row in rows if (row["data"], row["seed"], row["set"]) == (data, seed, extra)]
    return next((row["checkpoint"] for row in mine if row["arm"] == "source only"), None)


def recipe(arm: str, seed: int, start: str | None, asked: argparse.Namespace) -> dict[str, Any]:
    source, target, test, size, train = DATA[asked.data](asked)
    method, params, more = ARMS.get(arm, ("segment/light-pyramid", LIGHT["network_params"], {}))
    if method == "segment/cycada":
        source = f"{source} | translate:{translator(asked, seed)}"
    supervised = arm in ("source only", "style randomisation")
    values: dict[str, Any] = {
        "task": "segment", "method": method, "device": "cpu",
        "model": {"backbone": "pip/tf_efficientnet_lite0", "image_size": size, "checkpoint": start},
        "data": {"train": source, "test": test} if supervised else {"source": source, "target": target, "test": test},
        "params": params if arm == "source only" else {**LIGHT, **params},
        "train": {**train, "seed": seed, "ema": 0.0 if method in TAUGHT else 0.99, **more},
    }  # fmt: skip
    if arm == "tent":
        del values["data"]["source"]
        values["train"].pop("epochs")
    if arm == "source only":
        values["train"] |= {"epochs": SOURCE_EPOCHS[asked.data], "lr": SOURCE_LR}
    if arm == "style randomisation":
        values["model"]["checkpoint"] = None  # another method can't go on from it: it has the steps of both at once
        values["train"] |= {"epochs": SOURCE_EPOCHS[asked.data] + train["epochs"], "lr": SOURCE_LR}
    for pair in asked.set:
        key, value = pair.split("=", 1)
        section, _, name = key.partition(".")
        values[section][name] = json.loads(value)
    return values


def translator(asked: argparse.Namespace, seed: int) -> str:
    """A CycleGAN from the look of the source to that of the target, trained for some minutes or taken from RESULTS."""
    mine = [row for row in known(asked.results) if (row["data"], row["arm"], row["seed"]) == (asked.data, GAN, seed)]
    if mine:
        return mine[0]["checkpoint"]
    source, target, _, size, _ = DATA[asked.data](asked)
    begun, home = time.monotonic(), Home.find(asked.results.with_suffix(".home"))
    recipe = {
        "task": "translate", "method": GAN, "device": "cpu", "model": {"image_size": size},
        "params": {"width": 24, "discriminator_width": 24, "layers": 2, "diff_augment": "translation"},
        "data": {"source": source, "target": target},
        "train": {"minutes": asked.minutes, "epochs": 1000, "batch_size": 2, "ema": 0.99, "seed": seed},
        "eval": {"selection": "last"},
    }  # fmt: skip
    result = run(recipe, home=home)
    if result.status != "finished":
        raise SystemExit(f"{GAN}: {result.error}")
    row = {"arm": GAN, "data": asked.data, "seed": seed, "set": "", "checkpoint": result.checkpoint}
    with asked.results.open("a") as out:
        out.write(json.dumps(row | {"seconds": time.monotonic() - begun}) + "\n")
    return result.checkpoint


GAN = "translate/cyclegan"
TAUGHT = ("segment/mic", "segment/fda", "segment/hrda", "segment/tent")  # a teacher is their average


def scenes(asked: argparse.Namespace) -> tuple[str, str, str, int, dict[str, Any]]:
    def part(images: int, look: str, seed: int) -> str:
        return f"builtin:scenes?images={images}&size=64&classes=3&look={look}&seed={seed}&truth=masks"

    train = {"epochs": 6, "batch_size": 4, "lr": 0.001, "zoom": 1.0}
    return part(96, "clear", 0), part(96, "night", 1), part(40, "night", 2), 64, train


def dusk(asked: argparse.Namespace) -> tuple[str, str, str, int, dict[str, Any]]:
    day = asked.results.with_suffix(".day")
    if not day.exists():
        copy_drives(asked.day, day, ("0006R0", "0016E5"))
    return (
        f"masks:{day}?{CAMVID}",
        f"images:{asked.dusk / 'unlabelled'}",
        f"masks:{asked.dusk / 'test'}?{CAMVID}",
        SIDE,
        STREETS,
    )


def rendered(asked: argparse.Namespace) -> tuple[str, str, str, int, dict[str, Any]]:
    folder = asked.results.with_suffix(f".{asked.data}")
    if not folder.exists():
        copy_drives(asked.day, folder / "clear", ("0016E5",))
        copy_drives(asked.day / "train", folder / "test", ("0006R0",))
        copy_drives(asked.dusk / "unlabelled", folder / "unlabelled", ("0001TP",))
        draw = torch.Generator().manual_seed(0)
        for image in sorted((*folder.glob("test/images/*"), *folder.glob("unlabelled/*"))):
            render(image, asked.data, draw)
    return (
        f"masks:{folder / 'clear'}?{CAMVID}",
        f"images:{folder / 'unlabelled'}",
        f"masks:{folder / 'test'}?{CAMVID}",
        SIDE,
        STREETS,
    )


def copy_drives(source: Path, folder: Path, drives: tuple[str, ...]) -> None:
    """The files of some drives, whose names begin with the drive's."""
    for file in sorted(source.rglob("*")):
        if file.is_file() and file.name.startswith(drives):
            (folder / file.relative_to(source).parent).mkdir(parents=True, exist_ok=True)
            (folder / file.relative_to(source)).write_bytes(file.read_bytes())


def render(file: Path, look: str, draw: torch.Generator) -> None:
    """Writes an image in another look in its place, as a PNG."""
    image = to_image(Image.open(file).convert("RGB"))
    file.unlink()
    to_pil_image(Restyle(look, 1.0)(image[None], draw)[0]).save(file.with_suffix(".png"))


SIDE = 96  # of the crops, and the short side of the images: a table of three seeds in half an hour of one core
CAMVID = "ignore=11&classes=camvid"
STREETS = {"epochs": 4, "batch_size": 4, "lr": 0.001}
DATA = {"scenes": scenes, "dusk": dusk, "night": rendered, "fog": rendered}


def cell(arm: str, values: dict[str, Any], home: Home) -> dict[str, Any]:
    """What is kept of one run."""
    begun = time.monotonic()
    result = run(values, home=home)
    if result.status != "finished":
        raise SystemExit(f"{arm}: {result.error}")
    history: dict[int, dict[str, float]] = {}
    for event in Store(home).run(result.run).events():
        if event["kind"] == "scalar" and event["name"].partition("/")[::2][0] == "val":
            history.setdefault(event["step"], {})[event["name"].removeprefix("val/")] = event["value"]
    metrics = result.metrics
    return {
        "arm": arm, "miou": metrics["miou"], "miou_ci95": metrics.get("miou_ci95"),
        "source_only": metrics.get("source_only_miou"), "kept": metrics.get("kept"),
        "per_class": metrics["miou_per_class"], "source_miou": metrics.get("source_miou"),
        "resets": metrics.get("resets"), "checkpoint": result.checkpoint, "seconds": time.monotonic() - begun,
        "history": [{name: each.get(name) for name in WATCHED} for _, each in sorted(history.items())],
    }  # fmt: skip


def show(rows: list[dict[str, Any]], data: str, score: str) -> None:
    """One table: a line an arm, means over its seeds; then how far each rule was from the best epoch."""
    if not rows:
        return
    plain = {row["seed"]: row["miou"] for row in rows if row["arm"] == "source only"}
    print(f"\n{data}\n| | seeds | mIoU | gain | of each seed | last epoch | best epoch (oracle) | minutes |")
    print("|---|---:|---:|---:|---|---:|---:|---:|")
    for arm in dict.fromkeys(row["arm"] for row in rows):
        mine = [row for row in rows if row["arm"] == arm and row["seed"] in plain]
        kept = [kept_of(row, score) for row in mine]
        gains = [miou - plain[row["seed"]] for miou, row in zip(kept, mine, strict=True)]
        last, best = (mean_of(mine, pick) for pick in (lambda curve: curve[-1], max))
        half = f" ± {interval(gains):.3f}" if len(gains) > 1 else ""
        each = ", ".join(f"{miou:.3f}" for miou in kept)
        minutes, miou = np.mean([row["seconds"] for row in mine]) / 60, np.mean(kept)
        gain = f"{np.mean(gains):+.3f}{half}"
        print(f"| {arm} | {len(mine)} | {miou:.3f} | {gain} | {each} | {last} | {best} | {minutes:.1f} |")
    regrets(rows)


def kept_of(row: dict[str, Any], score: str) -> float:
    """The mIoU of a run by this rule, whichever it was made with."""
    curve = row["history"]
    return RULES[score](curve)["target_miou"] if watched(curve) else row["miou"]


def watched(curve: Curve) -> bool:
    """Whether the run adapted, and its target was scored after each epoch."""
    return bool(curve) and curve[0]["target_miou"] is not None


def most(value: Callable[[Epoch], float]) -> Callable[[Curve], Epoch]:
    return lambda curve: max(curve, key=value)


def held(curve: Curve) -> Epoch:
    """The epoch of the most diverse predictions that holds what source only, the first, is."""
    sound = [one for one in curve if all(one[name] >= share * curve[0][name] for name, share in HELD.items())]
    return max(sound, key=lambda one: one["diversity"])


#: how each rule chooses one of the epochs of a run, of which the first is source only
RULES: dict[str, Callable[[Curve], Epoch]] = {
    "restyled-spread": most(lambda one: one["restyled"] * one["target_classes"]),
    "restyled": most(lambda one: one["restyled"]),
    "diversity": held,
    "diversity of all": most(lambda one: one["diversity"]),
    "entropy of all": most(lambda one: one["entropy"]),
    "source-val": most(lambda one: one["miou"]),
    "last": lambda curve: curve[-1],
    "source only": lambda curve: curve[0],
}


def mean_of(rows: list[dict[str, Any]], pick: Any) -> str:
    curves = [[one["target_miou"] for one in row["history"] if one["target_miou"] is not None] for row in rows]
    values = [pick(curve) for curve in curves if curve]
    return f"{np.mean(values):.3f}" if values else ""


def interval(values: list[float]) -> float:
    """Half of the 95 % interval of a mean (Student)."""
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def regrets(rows: list[dict[str, Any]]) -> None:
    """For each rule: the mean mIoU that it gives over all adapting runs, less that of their best epoch."""
    curves = [row["history"] for row in rows if watched(row["history"])]
    if not curves:
        return
    best = np.array([max(one["target_miou"] for one in curve) for curve in curves])
    first = np.array([curve[0]["target_miou"] for curve in curves])
    print(f"\n| rule, over {len(curves)} runs | mIoU | less than the best epoch | worst, below source only |")
    print("|---|---:|---:|---:|")
    for name, choose in RULES.items():
        given = np.array([choose(curve)["target_miou"] for curve in curves])
        print(f"| {name} | {given.mean():.3f} | {(best - given).mean():.3f} | {min(0.0, (given - first).min()):.3f} |")


if __name__ == "__main__":
    sys.exit(main())
