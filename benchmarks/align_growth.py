"""What alignment costs as samples get more: seconds and peak memory of one fit, each in its own process.

    python -m benchmarks.align_growth                                   five methods, 1,000 to 50,000 x 1,280 features
    python -m benchmarks.align_growth --method kmm --samples 2000 8000
    python -m benchmarks.align_growth --figure growth.png               the same with a log-log plot

Features are made up, float32 as a backbone gives them; `samples` are of each domain. The peak is that of the whole
process, the features included. What a method approximates at a size is printed beside it.
"""

import argparse
import multiprocessing
import time

import numpy as np
import psutil

from benchmarks.rank_growth import Peak
from studio.core import registry

CLASSES = 10
METHODS = ["tca", "coral", "sa", "kmm", "kliep", "ulsif", "discriminator", "ot"]

Row = tuple[int, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", nargs="+", choices=METHODS, default=["tca", "coral", "sa", "kmm", "discriminator"])
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 5000, 20_000, 50_000])
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--figure", help="a PNG file to write")
    args = parser.parse_args()
    print(f"{args.dim} dimensions, {CLASSES} classes, {psutil.cpu_count()} cores")
    grown: dict[str, list[Row]] = {}
    for method in args.method:
        for samples in args.samples:
            with multiprocessing.get_context("spawn").Pool(1) as pool:  # a fresh process, so that peaks don't add up
                seconds, worked_s, peak_mb, note = pool.apply(measure, (method, samples, args.dim))
            grown.setdefault(method, []).append((samples, seconds))
            told = f"{seconds:8.1f} s  ({worked_s:.1f} s of processors)  {peak_mb:6.0f} MB"
            print(f"{method:14}{samples:>8} samples  {told}  {note}", flush=True)
    if args.figure:
        growth_figure(grown).savefig(args.figure, dpi=110)


def measure(method: str, samples: int, dim: int) -> tuple[float, float, float, str]:
    """Seconds by the clock and of processors, peak memory in MB and the note of one fit."""
    draw = np.random.default_rng(0)
    labels = np.arange(samples) % CLASSES
    source = draw.standard_normal((samples, dim), dtype=np.float32)
    source += draw.standard_normal((CLASSES, dim), np.float32)[labels]
    target = draw.standard_normal((samples, dim), dtype=np.float32)
    target += source[:CLASSES][labels] * np.float32(0.5)
    cls = registry.get(f"align/{method}")
    with Peak() as peak:
        begun, worked = time.perf_counter(), time.process_time()
        estimator = cls().fit(source, labels, target)
        seconds, worked_s = time.perf_counter() - begun, time.process_time() - worked
    return seconds, worked_s, peak.mb, estimator.note


def growth_figure(grown: dict[str, list[Row]]):
    from studio.figures.style import COLOURS, figure

    made = figure(5.2, 3.6)
    axes = made.add_subplot()
    for colour, (method, rows) in zip(COLOURS, grown.items(), strict=False):
        axes.loglog(*zip(*rows, strict=True), "o-", color=colour, label=method)
    axes.set(xlabel="samples of each domain", ylabel="seconds")
    axes.legend()
    axes.grid(alpha=0.25, which="both")
    return made


if __name__ == "__main__":
    main()
