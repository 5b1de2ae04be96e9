"""Accuracy and speed beside SKADA and ADAPT on the same features in the same process, in turn.

    python benchmarks/align_peers.py [--samples 2000] [--dim 800] [--rounds 3]
    python benchmarks/align_peers.py --groups office_mini pacs_mini [--backbone pip/tf_efficientnet_lite0]

Without groups the features are made up, all sides end in the same linear SVM, and accuracies are alike: what counts is
the ratio of seconds, above 1 where this project is faster. A group is a folder whose sub-folders are domains of the
same classes: every ordered pair of them is a task on the unit-length features of real photos, all sides end in 1-NN,
each with its own defaults, and accuracies are what counts. SKADA comes with requirements-dev.txt; ADAPT takes part
where it is installed (it brings TensorFlow).
"""

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RIDGES = [1e-3, 1e-2, 1e-1, 1.0, 10.0]  # the grid of uLSIF, here and there

Run = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # (xs, ys, xt) -> predictions of xt


def ours(gamma: float) -> dict[str, Run]:
    from studio.core import registry

    def run(method: str, **params: object) -> Run:
        cls = registry.get(f"align/{method}")
        settings = cls.Params(**{"normalize": "none", "classifier": "svm", **params})
        return lambda xs, ys, xt: cls(settings).fit(xs, ys, xt).predict(xt)

    return {
        "coral": run("coral", ridge=1e-6),
        "sa": run("sa", dim=20),
        "tca": run("tca", dim=20, kernel="rbf", gamma=gamma, ridge=0.1),
        "ot, entropic": run("ot", regularizer="entropic"),
        "kmm": run("kmm", gamma=gamma),
        "kliep": run("kliep", gamma=gamma),
        "ulsif": run("ulsif", gamma=gamma),
    }


def skada(gamma: float) -> dict[str, Run]:
    """SKADA has no uLSIF, and its TCA takes 1 / d as kernel width: so does everything here."""
    import skada
    from sklearn.svm import SVC

    def run(adapter: object, weighted: bool = False) -> Run:
        def predict(xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> np.ndarray:
            x = np.concatenate([xs, xt])
            domain = np.repeat([1, -2], [len(xs), len(xt)])
            y = np.concatenate([ys, np.full(len(xt), -1)])
            base = SVC(kernel="linear")
            if weighted:
                base = base.set_fit_request(sample_weight=True)
            model = skada.make_da_pipeline(adapter, base)
            model.fit(x, y, sample_domain=domain)
            return model.predict(xt, sample_domain=np.full(len(xt), -2))

        return predict

    return {
        "coral": run(skada.CORALAdapter(reg=1e-6)),
        "sa": run(skada.SubspaceAlignmentAdapter(n_components=20)),
        "tca": run(skada.TransferComponentAnalysisAdapter(kernel="rbf", n_components=20, mu=0.1)),
        "ot, entropic": run(skada.EntropicOTMappingAdapter(reg_e=0.05, norm="max")),
        "kmm": run(skada.KMMReweightAdapter(gamma=gamma), weighted=True),
        "kliep": run(skada.KLIEPReweightAdapter(gamma=gamma), weighted=True),
    }


def adapt(gamma: float) -> dict[str, Run]:
    """Nothing where ADAPT is not installed."""
    try:
        from adapt import feature_based, instance_based
    except ImportError:
        return {}
    from sklearn.svm import SVC

    def run(cls: type, **settings: object) -> Run:
        def predict(xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> np.ndarray:
            with contextlib.redirect_stdout(io.StringIO()):
                model = cls(SVC(kernel="linear"), Xt=xt, verbose=0, **settings).fit(xs, ys)
                return np.asarray(model.predict(xt))

        return predict

    kernel = {"kernel": "rbf", "gamma": gamma}
    return {
        "coral": run(feature_based.CORAL, lambda_=1e-6),
        "sa": run(feature_based.SA, n_components=20),
        "tca": run(feature_based.TCA, n_components=20, mu=0.1, **kernel),
        "kmm": run(instance_based.KMM, **kernel),
        "kliep": run(instance_based.KLIEP, **kernel),
        "ulsif": run(instance_based.ULSIF, lambdas=RIDGES, **kernel),
    }


def ours_on_photos() -> dict[str, Run]:
    from studio.core import registry

    def run(method: str, **params: object) -> Run:
        cls = registry.get(f"align/{method}")
        settings = cls.Params(**{"normalize": "unit", "classifier": "1nn", **params})
        return lambda xs, ys, xt: cls(settings).fit(xs, ys, xt).predict(xt)

    return {
        "none": run("none"),
        "coral": run("coral"),
        "sa, 20": run("sa", dim=20),
        "tca, 20": run("tca", dim=20),
        "tca, 100": run("tca", dim=100),
        "ot, entropic": run("ot", regularizer="entropic"),
        "ot, classes": run("ot"),
    }


def skada_on_photos() -> dict[str, Run]:
    """SKADA's defaults, but for the components; weighting says nothing to 1-NN and is left out."""
    import skada
    from sklearn.neighbors import KNeighborsClassifier

    def run(adapter: object) -> Run:
        def predict(xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> np.ndarray:
            x, domain = np.concatenate([xs, xt]), np.repeat([1, -2], [len(xs), len(xt)])
            y = np.concatenate([ys, np.full(len(xt), -1)])
            model = skada.make_da_pipeline(adapter, KNeighborsClassifier(1)).fit(x, y, sample_domain=domain)
            return model.predict(xt, sample_domain=np.full(len(xt), -2))

        return predict

    return {
        "coral": run(skada.CORALAdapter()),
        "sa, 20": run(skada.SubspaceAlignmentAdapter(n_components=20)),
        "tca, 20": run(skada.TransferComponentAnalysisAdapter(kernel="rbf", n_components=20)),
        "tca, 100": run(skada.TransferComponentAnalysisAdapter(kernel="rbf", n_components=100)),
        "ot, entropic": run(skada.EntropicOTMappingAdapter()),
        "ot, classes": run(skada.ClassRegularizerOTMappingAdapter()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", type=Path, help="folders of domains")
    parser.add_argument("--backbone", default="pip/tf_efficientnet_lite0")
    parser.add_argument("--samples", type=int, default=2000, help="of both domains together")
    parser.add_argument("--dim", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.groups:
        on_photos(options.groups, options.backbone)
        return
    data, truth = made_up(options.samples // 2, options.dim)
    # pairs are about 2 d apart, so that 1 / d is a kernel which sees them
    sides = {name: of(1.0 / options.dim) for name, of in {"ours": ours, "SKADA": skada, "ADAPT": adapt}.items()}
    for method in sides["ours"]:
        runs = {name: side[method] for name, side in sides.items() if method in side}
        print(row(method, runs, data, truth, options.rounds), flush=True)


def on_photos(groups: list[Path], backbone: str) -> None:
    """A line for each group and method: mean accuracy on the target of either side, and the ratio of all seconds."""
    sides = {"ours": ours_on_photos(), "SKADA": skada_on_photos()}
    for group in groups:
        tasks = tasks_of(group, backbone)
        for method in sides["ours"]:
            runs = {name: side[method] for name, side in sides.items() if method in side}
            print(f"{group.name} ({len(tasks)} tasks)  {row_on_photos(method, runs, tasks)}", flush=True)


def tasks_of(group: Path, backbone: str) -> list[tuple]:
    """Source features of unit length, their labels, target features and theirs, for every ordered pair of domains."""
    from studio.core import registry
    from studio.core.home import Home
    from studio.data import open_data
    from studio.data.features.cache import extract

    domains = {}
    with tempfile.TemporaryDirectory() as scratch:
        home = Home.find(Path(scratch))
        loaded = registry.backbone(backbone, home=home)
        for folder in sorted(group.iterdir()):
            features, dataset = extract(open_data(f"folder:{folder}"), loaded, home=home)
            features = np.asarray(features, np.float64)
            domains[folder.name] = (features / np.linalg.norm(features, axis=1, keepdims=True), dataset)
    names = {name for _, dataset in domains.values() for name in dataset.classes}
    place = {name: index for index, name in enumerate(sorted(names))}
    labelled = {
        domain: (x, np.array([place[dataset.classes[label]] for label in dataset.labels]))
        for domain, (x, dataset) in domains.items()
    }
    return [(*labelled[source], *labelled[target]) for source, target in permutations(labelled, 2)]


def row_on_photos(method: str, runs: dict[str, Run], tasks: list[tuple]) -> str:
    right: dict[str, list[float]] = {name: [] for name in runs}
    seconds = dict.fromkeys(runs, 0.0)
    for xs, ys, xt, yt in tasks:
        for name, run in runs.items():
            begun = time.perf_counter()
            right[name].append(float((run(xs, ys, xt) == yt).mean()))
            seconds[name] += time.perf_counter() - begun
    parts = [f"{method:12s}"]
    for name in runs:
        beside = "" if name == "ours" else f" ratio {seconds[name] / seconds['ours']:5.1f}"
        parts.append(f"{name} {100 * np.mean(right[name]):5.1f} in {seconds[name]:6.2f} s{beside}")
    return "   ".join(parts)


def made_up(n: int, d: int) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Source, its labels and a shifted target, n samples each of ten classes; the target's labels for the score."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(10, d)) / 4
    ys, yt = rng.integers(0, 10, n), rng.integers(0, 10, n)
    xs = means[ys] + rng.normal(size=(n, d))
    return (xs, ys, means[yt] + rng.normal(size=(n, d)) + 0.125), yt


def row(method: str, runs: dict[str, Run], data: tuple, truth: np.ndarray, rounds: int) -> str:
    """Least seconds of each side, its accuracy, and the median of the rounds' ratios to ours."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    accuracy = {}
    for _ in range(rounds):
        for name, run in runs.items():
            begun = time.perf_counter()
            accuracy[name] = float((run(*data) == truth).mean())
            seconds[name].append(time.perf_counter() - begun)
    parts = [f"{method:14s}"]
    for name, spent in seconds.items():
        ratio = statistics.median(theirs / own for theirs, own in zip(spent, seconds["ours"], strict=True))
        beside = "" if name == "ours" else f" ratio {ratio:5.1f}"
        parts.append(f"{name} {min(spent):7.3f} s ({accuracy[name]:.3f}){beside}")
    return "   ".join(parts)


if __name__ == "__main__":
    main()
