"""A transformer detector that has seen composed scenes, moved to your boxes, beside the same from scratch.

    python benchmarks/detect_transfer.py --data voc:FOLDER [--size 192] [--epochs 8] [--figure transfer.png]

Three runs of the preset rtdetr-finetune: on `builtin:scenes`; on the data from its checkpoint; on the data without.
The last two differ in `model.checkpoint` alone. Scores are of the test split, the epoch is that of the best
validation AP. In all three the backbone has ImageNet's weights.
"""

import argparse
import sys

from studio import run
from studio.core.home import Home
from studio.figures import compared_curves_figure
from studio.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--scenes", default="builtin:scenes?images=200&classes=3")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--epochs", type=int, default=8, help="of each of the three runs")
    parser.add_argument("--method", default="detect/rt-detr-v2")
    parser.add_argument("--figure", help="where the curves go")
    asked = parser.parse_args()
    shared = {"method": asked.method, "model.image_size": asked.size, "train.epochs": asked.epochs}
    pretrained = _done(run("rtdetr-finetune", {**shared, "data.train": asked.scenes}))
    arms = {
        "from scenes": {**shared, "data.train": asked.data, "model.checkpoint": pretrained.checkpoint},
        "from scratch": {**shared, "data.train": asked.data},
    }
    results = {name: _done(run("rtdetr-finetune", values)) for name, values in arms.items()}
    print(f"{'':14}{'AP':>8}{'AP50':>8}{'best epoch':>12}")
    print(f"{'scenes':14}{pretrained.metrics['map']:8.3f}{pretrained.metrics['map_50']:8.3f}")
    for name, result in results.items():
        numbers = result.metrics
        print(f"{name:14}{numbers['map']:8.3f}{numbers['map_50']:8.3f}{numbers.get('best_epoch', 0):12.0f}")
    if asked.figure:
        curves = {name: _curve(result.run) for name, result in results.items()}
        compared_curves_figure(curves).savefig(asked.figure, dpi=110, bbox_inches="tight")


def _done(result):  # noqa: ANN001, ANN202
    if result.status != "finished":
        sys.exit(f"A run did not finish: {result.error}")
    return result


def _curve(name: str) -> list[dict[str, float]]:
    """The validation AP of each epoch of a run."""
    rows: dict[int, dict[str, float]] = {}
    for event in Store(Home.find()).run(name).events():
        if event["kind"] == "scalar" and event["name"].startswith("val/map"):
            rows.setdefault(event["step"], {})[event["name"].removeprefix("val/")] = event["value"]
    return [{"epoch": epoch, **rows[step]} for epoch, step in enumerate(sorted(rows), start=1)]


if __name__ == "__main__":
    main()
