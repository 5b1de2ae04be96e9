"""What transferability scores cost as images get more: seconds and peak memory of each score, in its own process.

    python -m benchmarks.rank_growth                        LogME on 1,000 to 50,000 x 1,280 features
    python -m benchmarks.rank_growth --score h-score --images 2000 8000
    python -m benchmarks.rank_growth --figure growth.png    the same with a log-log plot

Features are made up: 100 classes, float32 as a backbone gives them. The peak is that of the whole process, the
features included.
"""

import argparse
import multiprocessing
import sys
import threading
import time

import numpy as np
import psutil

from adapters.rank.scores import FEATURE_SCORES

CLASSES = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--score", choices=sorted(FEATURE_SCORES), default="logme")
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 5000, 10_000, 20_000, 50_000])
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--figure", help="a PNG file to write")
    args = parser.parse_args()
    print(f"{args.score}, {args.dim} dimensions, {CLASSES} classes, {psutil.cpu_count()} cores")
    rows = []
    for images in args.images:
        with multiprocessing.get_context("spawn").Pool(1) as pool:  # a fresh process, so that peaks don't add up
            seconds, peak_mb, value = pool.apply(measure, (args.score, images, args.dim))
        rows.append((images, seconds, peak_mb))
        print(f"{images:>8} images  {seconds:8.2f} s  {peak_mb:8.0f} MB  score {value:.4f}")
    if args.figure:
        growth_figure(rows, args.score).savefig(args.figure, dpi=110)


def measure(score: str, images: int, dim: int) -> tuple[float, float, float]:
    """Seconds, peak memory in MB and the value of one score."""
    draw = np.random.default_rng(0)
    y = np.arange(images) % CLASSES
    x = draw.standard_normal((images, dim), dtype=np.float32) + draw.standard_normal((CLASSES, dim), np.float32)[y]
    with Peak() as peak:
        begun = time.perf_counter()
        value = FEATURE_SCORES[score](x, y)
        seconds = time.perf_counter() - begun
    return seconds, peak.mb, value


class Peak:
    """The highest resident memory of this process while it is open, looked at 50 times a second."""

    def __enter__(self) -> "Peak":
        self.mb, self._done = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._done.wait(0.02):
            self.mb = max(self.mb, process.memory_info().rss / 2**20)


def growth_figure(rows: list[tuple[int, float, float]], score: str):
    from studio.figures.style import COLOURS, figure

    images, seconds, _ = zip(*rows, strict=True)
    made = figure(5.2, 3.6)
    axes = made.add_subplot()
    axes.loglog(images, seconds, "o-", color=COLOURS[0])
    axes.set(xlabel="images", ylabel="seconds", title=score)
    axes.grid(alpha=0.25, which="both")
    return made


if __name__ == "__main__":
    sys.exit(main())
