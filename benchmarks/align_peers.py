"""Speed beside SKADA and ADAPT on the same data in the same process, in turn; ratios are what counts.

    python benchmarks/align_peers.py [--samples 2000] [--dim 800] [--rounds 3]

A ratio above 1 says that this project is faster. Each column has the accuracy on the target, for only equal results
are compared. SKADA comes with requirements-dev.txt; ADAPT is timed where it is installed (it brings TensorFlow).
"""

import argparse
import contextlib
import io
import statistics
import time
from collections.abc import Callable
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2000, help="of both domains together")
    parser.add_argument("--dim", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data, truth = made_up(options.samples // 2, options.dim)
    # pairs are about 2 d apart, so that 1 / d is a kernel which sees them
    sides = {name: of(1.0 / options.dim) for name, of in {"ours": ours, "SKADA": skada, "ADAPT": adapt}.items()}
    for method in sides["ours"]:
        runs = {name: side[method] for name, side in sides.items() if method in side}
        print(row(method, runs, data, truth, options.rounds), flush=True)


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
