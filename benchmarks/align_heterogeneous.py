"""Features of different width: methods that are told a few target labels, beside those labels alone.

    python benchmarks/align_heterogeneous.py ../shared/data [--sources amazon caltech10 dslr] [--seeds 5] [--labels 3]

SURF of the sources (800 wide) to DeCAF6 of webcam (4,096 wide), as in Yao et al. 2019: all of the source, `labels` a
class of the target. Prints mean and standard deviation over seeds, in percent of the target's other images, and the
mean difference to a logistic regression on the target's labels alone, paired over seeds and sources, with its 95%
interval. --settings changes params of a method: stn:soft_mmd=0.1.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from adapters.align.classifiers import make_classifier
from adapters.align.domains import Domain, Pair, TargetTruth, pair_of, reveal
from adapters.align.normalize import NORMALIZERS
from studio.core import registry
from studio.data import open_data
from studio.metrics import paired_difference

ALONE = ("1nn", "logistic")  # learned from the target's few labels alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sources", nargs="+", default=["amazon", "caltech10", "dslr"])
    parser.add_argument("--methods", nargs="+", default=["hfa", "cdls", "stn"])
    parser.add_argument("--settings", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--labels", type=int, default=3)
    args = parser.parse_args()
    target = opened(f"mat:{args.data}/hda/webcam_decaf6.mat?x=feas&y=labels")
    names = [f"{name} alone" for name in ALONE] + args.methods + args.settings
    numbers: dict[str, list[float]] = {name: [] for name in names}
    for source in args.sources:
        pair, truth = pair_of(opened(f"mat:{args.data}/office_caltech10_surf/{source}.mat?x=fts&y=labels"), target)
        for seed in range(args.seeds):
            for name in names:
                numbers[name].append(100 * accuracy(name, pair, truth, args.labels, seed))
    print("| method | accuracy, % | minus logistic alone |\n|---|---:|---:|")
    for name, values in numbers.items():
        difference, half = paired_difference(np.array(values), np.array(numbers["logistic alone"]))
        print(f"| {name} | {np.mean(values):.1f} ± {np.std(values):.1f} | {difference:+.1f} ± {half:.1f} |")


def opened(spec: str) -> Domain:
    features = open_data(spec)
    return Domain(np.asarray(features.x, np.float64), features.y, features.classes)


def accuracy(name: str, pair: Pair, truth: TargetTruth, labels: int, seed: int) -> float:
    """Of the target's rows that were not told."""
    revealed = reveal(truth, labels, pair.classes, seed)
    rows = truth.scored(revealed)
    if name.endswith(" alone"):
        xt = NORMALIZERS["zscore-unit"].fit(pair.xt)(pair.xt)
        model = make_classifier(name.removesuffix(" alone"))
        model = model.fit(xt[revealed.rows], revealed.labels, len(pair.classes))
        return truth.accuracy(model.predict_proba(xt[rows]).argmax(axis=1), rows)
    method, _, setting = name.partition(":")
    cls = registry.get(f"align/{method}")
    changed: dict[str, Any] = dict([setting.split("=")]) if setting else {}
    changed |= {"seed": seed} if "seed" in cls.Params.model_fields else {}
    model = cls(cls.Params(labelled_per_class=labels, **changed))
    model.fit(pair.xs, pair.ys, pair.xt, revealed.rows, revealed.labels)
    return truth.accuracy(model.predict(pair.xt[rows]), rows)


if __name__ == "__main__":
    main()
