"""Alignment side by side with SKADA: the same features, one process, ratios of processor time at equal accuracy.

    python -m benchmarks.align_skada  every pair at n 2000, d 800
    python -m benchmarks.align_skada  --only tca coral  some of them
    python -m benchmarks.align_skada  --samples 500 --features 100

Made-up classes whose target is moved and turned; a pair is given the same normalised features and classifier, and
times hold the fit and the prediction of the target. Processor time of both, since another job on the machine
stretches the clock.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import skada
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from adapters.align.kernels import squared_distances
from studio.core import registry

Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # source, labels, target -> predictions
CLASSES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000, help="of each domain")
    parser.add_argument("--features", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=1, help="paired rounds; the median ratio is printed")
    parser.add_argument("--only", nargs="*", help="names of pairs")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    source, labels, target, truth = make(args.samples, args.features)
    print(f"SKADA {skada.__version__}, n = m = {args.samples}, d = {args.features}")
    print(f"{'pair':14} {'SKADA s':>9} {'ours s':>9} {'ratio':>7} {'SKADA %':>9} {'ours %':>9}")
    for name, (theirs, ours) in pairs(float(squared_distances(source, target).mean())).items():
        if args.only and name not in args.only:
            continue
        times, scores = [], []
        for _ in range(args.rounds):
            found = [timed(run, source, labels, target) for run in (theirs, ours)]
            times.append([seconds for seconds, _ in found])
            scores = [100 * float((guess == truth).mean()) for _, guess in found]
        ratio = statistics.median(a / b for a, b in times)
        a, b = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:14} {a:9.2f} {b:9.2f} {ratio:7.1f} {scores[0]:9.1f} {scores[1]:9.1f}", flush=True)


def make(samples: int, features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Correlated features of unit length a row, the target shifted along a few directions."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(features, features)) * np.geomspace(1, 0.05, features)
    centres = 0.4 * rng.normal(size=(CLASSES, features))
    labels, truth = rng.integers(0, CLASSES, samples), rng.integers(0, CLASSES, samples)
    source = (centres[labels] + 1.5 * rng.normal(size=(samples, features))) @ mix.T
    target = (centres[truth] + 1.5 * rng.normal(size=(samples, features)) + 0.5) @ mix.T
    scale = np.linalg.norm(source, axis=1).mean()
    return source / scale, labels, target / scale, truth


def pairs(unit: float) -> dict[str, tuple[Fit, Fit]]:
    """By name: SKADA's way and ours, with the parameters that make them the same problem; `unit` is the mean cost."""
    gamma, near = 1.0, KNeighborsClassifier(1)
    linear = LogisticRegression(max_iter=500).set_fit_request(sample_weight=True)
    return {
        "tca": (
            peer(skada.TransferComponentAnalysis(near, n_components=20, kernel="linear")),
            own("tca", dim=20, ridge=0.1, unit=False),
        ),
        "coral": (peer(skada.CORAL(near)), own("coral", classifier="1nn")),
        "sa": (peer(skada.SubspaceAlignment(near, n_components=20)), own("sa", dim=20)),
        "ot-entropic": (
            peer(skada.EntropicOTMapping(near, reg_e=0.1 * unit)),
            own("ot", regularizer="entropic", reg=0.1),
        ),
        "ot-group": (
            peer(skada.ClassRegularizerOTMapping(near, reg_e=0.1 * unit, reg_cl=0.1 * unit)),
            own("ot", regularizer="group-lasso", reg=0.1, group=0.1),
        ),
        "jdot": (peer(skada.JDOTClassifier(LogisticRegression(), alpha=0.5, n_iter_max=10)), own("jdot")),
        "kmm": (peer(skada.KMMReweight(linear, gamma=gamma)), own("kmm", classifier="logistic", gamma=gamma)),
        "kliep": (
            peer(skada.KLIEPReweight(linear, gamma=gamma)),
            own("kliep", classifier="logistic", gamma=gamma),
        ),
        "discriminator": (peer(skada.DiscriminatorReweight(linear)), own("discriminator", classifier="logistic")),
    }


def peer(pipeline) -> Fit:
    def run(source: np.ndarray, labels: np.ndarray, target: np.ndarray) -> np.ndarray:
        x = np.concatenate([source, target])
        y = np.concatenate([labels, np.full(len(target), -1)])
        domain = np.repeat([1, -2], [len(source), len(target)])
        pipeline.fit(x, y, sample_domain=domain)  # of a JDOTClassifier it returns None
        return np.asarray(pipeline.predict(target, sample_domain=domain[len(source) :]))

    return run


def own(name: str, **params) -> Fit:
    cls = registry.get(f"align/{name}")

    def run(source: np.ndarray, labels: np.ndarray, target: np.ndarray) -> np.ndarray:
        return cls(cls.Params(normalize="none", **params)).fit(source, labels, target).predict(target)

    return run


def timed(run: Fit, *data: np.ndarray) -> tuple[float, np.ndarray]:
    start = time.process_time()
    found = run(*data)
    return time.process_time() - start, found


if __name__ == "__main__":
    main()
