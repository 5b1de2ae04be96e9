"""How cost grows with samples: seconds and peak memory of TCA, CORAL, SA and KMM, up to 50,000 x 1,280.

    python benchmarks/align_growth.py [--most 50000] [--dim 1280] [--figure growth.png]

Half of the samples are source, half target. Each size runs in a process of its own, so that its peak is its own.
Features are made up: 10 classes, float32 as a backbone gives them.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

METHODS = ("align/coral", "align/sa", "align/tca", "align/kmm")
ROOT = Path(__file__).resolve().parents[1]


def measure(method: str, samples: int, dim: int) -> dict[str, float | str]:
    """Seconds and peak MB of one fit and the prediction of the target."""
    import numpy as np
    import psutil

    from studio.core import registry

    cls = registry.get(method)
    rng = np.random.default_rng(0)
    n = samples // 2
    means = rng.standard_normal((10, dim), np.float32)
    ys, yt = rng.integers(0, 10, n), rng.integers(0, 10, n)
    xs = means[ys] + 2 * rng.standard_normal((n, dim), np.float32)
    xt = means[yt] + 2 * rng.standard_normal((n, dim), np.float32) + np.float32(0.3)
    begun = time.perf_counter()
    # the projection is what is measured; a linear classifier keeps the prediction from costing more than it
    model = cls(cls.Params(classifier="logistic")).fit(xs, ys, xt)
    accuracy = float((model.predict(xt) == yt).mean())
    memory = psutil.Process().memory_info()
    peak = getattr(memory, "peak_wset", 0) / 2**20 or _peak_mb()
    return {
        "method": method, "samples": samples, "seconds": round(time.perf_counter() - begun, 2),
        "peak_mb": round(peak), "accuracy": round(accuracy, 4), "note": model.note,
    }  # fmt: skip


def _peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--figure")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "SAMPLES"), help="measure one size in this process")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], int(options.one[1]), options.dim)))
        return
    sizes = [size for size in (1000, 3000, 10_000, 25_000, 50_000) if size < options.most] + [options.most]
    rows = []
    for method in METHODS:
        for size in sizes:
            command = [sys.executable, __file__, "--dim", str(options.dim), "--one", method, str(size)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
    if options.figure:
        plot(rows, options.figure)


def plot(rows: list[dict], path: str) -> None:
    from matplotlib.figure import Figure

    made = Figure(figsize=(6, 4))
    axes = made.add_subplot()
    for method in METHODS:
        mine = [row for row in rows if row["method"] == method]
        axes.loglog([row["samples"] for row in mine], [row["seconds"] for row in mine], marker="o", label=method)
    axes.set(xlabel="samples of both domains", ylabel="seconds")
    axes.legend(frameon=False)
    made.savefig(path, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
