"""Generalization to a domain never seen: PACS with each domain left out in turn, RotatedMNIST, and ColoredMNIST.

    python benchmarks/generalize.py pacs [--data ../shared/data/pacs_mini] [--methods erm,coral] [--epochs 3]
    python benchmarks/generalize.py rotated [--data ../shared/data/digits_mnist_usps.npz] [--methods erm,coral]
    python benchmarks/generalize.py colored [--data ../shared/data/digits_mnist_usps.npz] [--seeds 3]

`pacs` prints the table of `generalize/table`: accuracy on all images of the domain that was left out, of the epoch
that was chosen on held-out images of the other three; one setting for every method. `rotated` likewise: the digits of
MNIST in six parts, turned by 0 to 75 degrees, studio/lenet from scratch. `colored` prints, for each rule of
selection, the accuracy in each of three environments that is left out; in n90 the colour is turned against the label.
With --keep FOLDER an interrupted benchmark goes on where it was.
"""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from yaml import safe_load

from studio.core import recipe as recipes
from studio.core.home import Home
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store

PACS = {"art": "art_painting", "cartoon": "cartoon", "photo": "photo", "sketch": "sketch"}
ANGLES = (0, 15, 30, 45, 60, 75)
ENVIRONMENTS = {"p90": "agree=0.9&part=1/3", "p80": "agree=0.8&part=2/3", "n90": "agree=0.1&part=3/3"}


def pacs(args: argparse.Namespace) -> dict[str, Any]:
    """The recipe: every method from the same pretrained network."""
    domains = "; ".join(f"{name}=folder:{args.data}/{folder}" for name, folder in PACS.items())
    return {
        "model": {"backbone": "pip/tf_efficientnet_lite0", "image_size": args.size},
        "params": {"domains": domains, "unseen": args.unseen},
        "train": {"epochs": args.epochs or 3, "batch_size": 30, "lr": args.lr or 0.002, "augment": "crop", "crop": 0.7},
    }


def rotated(args: argparse.Namespace) -> dict[str, Any]:
    """The recipe: every method from scratch, each angle left out in turn."""
    digits = f"npz:{args.data}?x=mnist_x&y=mnist_y"
    parts = enumerate(ANGLES, start=1)
    domains = "; ".join(f"a{angle}=rotated:{digits}&angle={angle}&part={part}/{len(ANGLES)}" for part, angle in parts)
    return {
        "model": {"backbone": "studio/lenet?in_chans=1&image_size=28"},
        "params": {
            "domains": domains, "unseen": args.unseen, "common": {"freeze_statistics": False, "backbone_lr": 1.0},
        },
        "train": {"epochs": args.epochs or 20, "batch_size": 60, "lr": args.lr or 0.002, "augment": "none"},
    }  # fmt: skip


def colored(args: argparse.Namespace) -> dict[str, Any]:
    """The recipe: a small network from scratch on two environments, each third left out in turn."""
    digits = f"npz:{args.data}?x=mnist_x&y=mnist_y"
    domains = "; ".join(f"{name}=colored:{digits}&{options}" for name, options in ENVIRONMENTS.items())
    penalty = {"weight": 10_000, "anneal": 0.3}
    return {
        "model": {"backbone": "studio/mlp"},
        "params": {
            "domains": domains, "unseen": args.unseen, "common": {"freeze_statistics": False, "backbone_lr": 1.0},
            "settings": {"irm": penalty, "vrex": penalty},
        },
        "train": {"epochs": args.epochs or 80, "batch_size": 1024, "lr": args.lr or 0.001, "augment": "none"},
    }  # fmt: skip


RECIPES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "pacs": pacs, "rotated": rotated, "colored": colored,
}  # fmt: skip


def table(home: Home, name: str, values: dict[str, Any]) -> str:
    """The table of a recipe, as Markdown; goes on where a run of this name was interrupted."""
    store = Store(home)
    known = [row["run"] for row in store.runs() if row["name"] == name]
    folder = store.run(known[0]) if known else submit(recipes.parse({**values, "name": name}), store)
    result = run_inline(folder, home, resume=bool(known))
    if result.status != "finished":
        raise SystemExit(result.error)
    return (folder.path / "table.md").read_text(encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(RECIPES))
    parser.add_argument("--data")
    parser.add_argument("--methods", default="", help="by comma; all by default, for colored those with a penalty")
    parser.add_argument(
        "--unseen", default="", help="domains (a0, a15, ...; p90, p80, n90) to leave out, by comma; each by default"
    )
    parser.add_argument("--selection", default="", help="by comma: training-domain, oracle, ...")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--size", type=int, default=64, help="pixels of PACS")
    parser.add_argument("--lr", type=float)
    parser.add_argument("--params", nargs="+", default=[], help="of every method: head_epochs=0")
    parser.add_argument("--keep", type=Path, help="home folder to keep")
    args = parser.parse_args()
    torch.set_num_threads(1)
    is_pacs = args.what == "pacs"
    args.data = args.data or f"../shared/data/{'pacs_mini' if is_pacs else 'digits_mnist_usps.npz'}"
    args.data = Path(args.data).resolve()
    is_colored = args.what == "colored"
    args.methods = args.methods or ("erm,irm,vrex" if is_colored else "")
    rules = args.selection or ("training-domain,oracle" if is_colored else "training-domain")
    with nullcontext(args.keep) if args.keep else tempfile.TemporaryDirectory() as folder:
        for rule in rules.split(","):
            values = RECIPES[args.what](args)
            asked = {name: safe_load(value) for name, value in (pair.split("=") for pair in args.params)}
            values["params"]["common"] = {**values["params"].get("common", {}), **asked}
            values["params"] |= {"methods": args.methods, "seeds": args.seeds or (3 if is_colored else 1)}
            values |= {"task": "generalize", "method": "generalize/table", "eval": {"selection": rule}, "device": "cpu"}
            print(f"{args.what}, {rule}:\n{table(Home.find(folder), f'{args.what} {rule}', values)}", flush=True)


if __name__ == "__main__":
    main()
