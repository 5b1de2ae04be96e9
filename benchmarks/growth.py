"""How cost grows with samples: seconds and peak memory of alignment methods and transferability scores.

    python benchmarks/growth.py [--methods align/tca rank/logme] [--sizes 1000 50000] [--dim 1280] [--figure growth.png]

Each size runs in a process of its own, so that its peak, features included, is its own. Features are made up: 10
classes (100 for a score), float32 as a backbone gives them; of an alignment, half the samples are source.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

METHODS = ["align/coral", "align/sa", "align/tca", "align/kmm", "rank/logme"]
SIZES = [1000, 3000, 10_000, 25_000, 50_000]
ROOT = Path(__file__).resolve().parents[1]


def measure(method: str, samples: int, dim: int) -> dict[str, float | str]:
    """Seconds of one fit with the prediction of the target, or of one score, and the process's peak in MB."""
    from studio.core.resident import peak_bytes

    run = aligned if method.startswith("align/") else scored
    value, note, seconds = run(method, samples, dim)
    return {
        "method": method, "samples": samples, "seconds": round(seconds, 2), "peak_mb": round(peak_bytes() / 2**20),
        "value": round(value, 4), "note": note,
    }  # fmt: skip


def aligned(method: str, samples: int, dim: int) -> tuple[float, str, float]:
    """Accuracy on the target, the method's note, and seconds."""
    import numpy as np

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
    return accuracy, model.note, time.perf_counter() - begun


def scored(method: str, samples: int, dim: int) -> tuple[float, str, float]:
    """The transferability score, no note, and seconds."""
    import numpy as np

    from adapters.rank.scores import FEATURE_SCORES

    rng = np.random.default_rng(0)
    y = np.arange(samples) % 100
    x = rng.standard_normal((samples, dim), np.float32) + rng.standard_normal((100, dim), np.float32)[y]
    begun = time.perf_counter()
    value = float(FEATURE_SCORES[method.removeprefix("rank/")](x, y))
    return value, "", time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--figure", help="a PNG file to write")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "SAMPLES"), help="measure one size in this process")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], int(options.one[1]), options.dim)))
        return
    rows = []
    for method in options.methods:
        for size in options.sizes:
            command = [sys.executable, __file__, "--dim", str(options.dim), "--one", method, str(size)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
    if options.figure:
        plot(rows, options.figure)


def plot(rows: list[dict], path: str) -> None:
    from matplotlib.figure import Figure

    made = Figure(figsize=(8, 3.4), layout="constrained")
    left, right = made.subplots(1, 2)
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        sizes = [row["samples"] for row in mine]
        left.loglog(sizes, [row["seconds"] for row in mine], marker="o", label=method)
        right.semilogx(sizes, [row["peak_mb"] / 1000 for row in mine], marker="o")
    left.set(xlabel="samples", ylabel="seconds")
    right.set(xlabel="samples", ylabel="peak memory (GB)", ylim=(0, None))
    left.legend(frameon=False, fontsize="small")
    made.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
