"""What a look of the target is worth: a classifier of photos, scored on sketches, with and without `train.restyle`.

    python benchmarks/translate_restyle.py FOLDER [--source photo] [--target sketch] [--kinds none fda ...] [--seeds 3]

FOLDER holds a folder of classes for each domain, as PACS does. `finetune/full` on the source alone, the epoch chosen on
held-out images of the source; each kind gets the look of the target's images, whose labels only score the end. It
prints accuracy on the target for each seed, their mean, and the difference to the first kind seed by seed. A kind such
as translate/instant-style looks at the target with this method, and trains on the source beside itself translated.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from studio import run
from studio.core.home import Home

RENDERED = ("none", "fog", "night", "rain", "sketch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", default="photo")
    parser.add_argument("--target", default="sketch")
    parser.add_argument("--kinds", nargs="+", default=["none", "mean-variance", "histogram", "reinhard", "fda"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--share", type=float, default=0.5)
    asked = parser.parse_args()
    plain: list[float] = []
    for kind in asked.kinds:
        scores = [accuracy(asked, kind, seed) for seed in range(asked.seeds)]
        plain = plain or scores
        gains = [score - other for score, other in zip(scores, plain, strict=True)]
        listed = "  ".join(f"{score:.3f}" for score in scores)
        print(
            f"{kind:26}{listed}   mean {statistics.mean(scores):.3f}   more {statistics.mean(gains):+.3f}", flush=True
        )


def accuracy(asked: argparse.Namespace, kind: str, seed: int) -> float:
    """On the target, after training on the source."""
    source, target = (f"folder:{asked.folder / name}" for name in (asked.source, asked.target))
    train = {"epochs": asked.epochs, "seed": seed, "batch_size": 32, "lr": 0.0005}
    with tempfile.TemporaryDirectory() as folder:
        home = Home.find(Path(folder))
        if kind.startswith("translate/"):
            data = {"target": target.replace("folder:", "images:")}
            made = run({"task": "translate", "method": kind, "data": data}, home=home).checkpoint
            source = f"{source},{source} | translate:{made}"
            train["epochs"] = -(-asked.epochs // 2)  # as many steps
        elif kind != "none":
            train |= {"restyle": kind, "restyle_share": asked.share}
            train |= {} if kind in RENDERED else {"restyle_like": target}
        recipe = {
            "task": "classify", "method": "finetune/full", "model": {"image_size": asked.size},
            "data": {"train": source, "test": target}, "train": train,
        }  # fmt: skip
        return run(recipe, home=home).metrics["accuracy"]


if __name__ == "__main__":
    main()
