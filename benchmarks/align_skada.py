"""Speed beside SKADA on the same data in the same process, A and B in turn; ratios are what counts.

    python benchmarks/align_skada.py [--samples 2000] [--dim 800] [--rounds 3]

A ratio above 1 says that this project is faster. SKADA comes with requirements-dev.txt.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def contenders(gamma: float) -> dict[str, tuple[Callable, Callable]]:
    """Pairs (ours, SKADA's): each takes (xs, ys, xt) and returns predictions of xt."""
    import skada
    from sklearn.svm import SVC

    from studio.core import registry

    def ours(method: str, **params: object) -> Callable:
        cls = registry.get(f"align/{method}")
        settings = cls.Params(**{"normalize": "none", "classifier": "svm", **params})
        return lambda xs, ys, xt: cls(settings).fit(xs, ys, xt).predict(xt)

    def theirs(adapter: object, weighted: bool = False) -> Callable:
        def run(xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> np.ndarray:
            x = np.concatenate([xs, xt])
            domain = np.repeat([1, -2], [len(xs), len(xt)])
            y = np.concatenate([ys, np.full(len(xt), -1)])
            base = SVC(kernel="linear")
            if weighted:
                base = base.set_fit_request(sample_weight=True)
            model = skada.make_da_pipeline(adapter, base)
            model.fit(x, y, sample_domain=domain)
            return model.predict(xt, sample_domain=np.full(len(xt), -2))

        return run

    return {
        "coral": (ours("coral", ridge=1e-6), theirs(skada.CORALAdapter(reg=1e-6))),
        "sa": (ours("sa", dim=20), theirs(skada.SubspaceAlignmentAdapter(n_components=20))),
        "tca": (
            ours("tca", dim=20, kernel="rbf", gamma=gamma, ridge=0.1),
            theirs(skada.TransferComponentAnalysisAdapter(kernel="rbf", n_components=20, mu=0.1)),
        ),
        "ot, entropic": (
            ours("ot", regularizer="entropic"),
            theirs(skada.EntropicOTMappingAdapter(reg_e=0.05, norm="max")),
        ),
        "kmm": (ours("kmm", gamma=gamma), theirs(skada.KMMReweightAdapter(gamma=gamma), weighted=True)),
        "kliep": (ours("kliep", gamma=gamma), theirs(skada.KLIEPReweightAdapter(gamma=gamma), weighted=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2000, help="of both domains together")
    parser.add_argument("--dim", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    n, means = options.samples // 2, rng.normal(size=(10, options.dim))
    ys, yt = rng.integers(0, 10, n), rng.integers(0, 10, n)
    xs = means[ys] + 4 * rng.normal(size=(n, options.dim))
    xt = means[yt] + 4 * rng.normal(size=(n, options.dim)) + 0.5
    for name, pair in contenders(1.0 / options.dim).items():
        seconds: list[list[float]] = [[], []]
        accuracy = [0.0, 0.0]
        for _ in range(options.rounds):
            for side, run in enumerate(pair):
                begun = time.perf_counter()
                accuracy[side] = float((run(xs, ys, xt) == yt).mean())
                seconds[side].append(time.perf_counter() - begun)
        ours, theirs = (min(values) for values in seconds)
        print(
            f"{name:14s} ours {ours:7.3f} s ({accuracy[0]:.3f})   SKADA {theirs:7.3f} s ({accuracy[1]:.3f})   "
            f"ratio {theirs / ours:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
