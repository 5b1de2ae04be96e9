"""Ranking a gallery: numbers and seconds beside a Python loop over queries, and memory at any size.

    python benchmarks/reid_ranking.py [--queries 3368] [--gallery 15913] [--rounds 3]
    python benchmarks/reid_ranking.py --large 100000 [--slice 2000]
    python benchmarks/reid_ranking.py --large 1000000 --slice 64 --mapped FILE

Random unit features of 512 numbers, as many images, individuals and cameras as Market-1501 has. The loop is written
here from the definitions that Torchreid and fast-reid share (drop the same individual in the same camera, CMC by the
first hit, AP as the mean precision at the hits, INP by the last hit), in their manner: all distances are sorted, then
one query after another. Both get the same matrix of distances; seconds without and with the product that makes it. With
`--large` queries and gallery have so many images, of which `--slice` queries are ranked: seconds for all are told by
the share, and the largest resident set is measured. With `--mapped` the gallery lies in a file in half precision, of
which a part is in memory at a time, and only the ranked queries are made.
"""

import argparse
import resource
import statistics
import time
from pathlib import Path

import numpy as np

from studio.metrics.retrieval import Seen, by_identity, euclidean, rank_queries

INDIVIDUALS, CAMERAS, DIM = 750, 6, 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=3368)
    parser.add_argument("--gallery", type=int, default=15913)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int)
    parser.add_argument("--slice", type=int, default=2000)
    parser.add_argument("--mapped", type=Path, help="a file that the gallery is written to, of 1 kB an image")
    asked = parser.parse_args()
    if asked.large:
        large(asked.large, asked.slice, asked.mapped)
    else:
        beside_the_loop(asked.queries, asked.gallery, asked.rounds)


def made(count: int, draw: np.random.Generator, individuals: int = INDIVIDUALS) -> tuple[np.ndarray, Seen]:
    """Random unit features float32 [count, DIM]; a sixth of them show nobody, as Market's distractors do."""
    features = draw.standard_normal((count, DIM), dtype=np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    who = draw.integers(0, individuals, count)
    return features, Seen(np.where(draw.random(count) < 1 / 6, -1, who), draw.integers(0, CAMERAS, count))


def beside_the_loop(queries: int, gallery: int, rounds: int) -> None:
    draw = np.random.default_rng(0)
    asked, query = made(queries, draw)
    held, answers = made(gallery, draw)
    order = by_identity(answers)
    times: dict[str, list[float]] = {"product": [], "loop": [], "ours": [], "ours with product": []}
    for _ in range(rounds):
        begun = time.perf_counter()
        distances = euclidean(asked, held)(0, queries)
        times["product"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        slow = loop(distances, query, answers)
        times["loop"].append(time.perf_counter() - begun)
        ordered = np.ascontiguousarray(distances[:, order])
        begun = time.perf_counter()
        ranking = rank_queries(lambda first, last, held=ordered: held[first:last], query, answers)
        times["ours"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        rank_queries(euclidean(asked, held[order]), query, answers)
        times["ours with product"].append(time.perf_counter() - begun)
    for name, seconds in times.items():
        print(f"{name:18} {statistics.median(seconds):8.2f} s (of {', '.join(f'{s:.2f}' for s in seconds)})")
    print(f"ratio without the product {statistics.median(times['loop']) / statistics.median(times['ours']):.1f}")
    whole = statistics.median(times["loop"]) + statistics.median(times["product"])
    print(f"ratio with it             {whole / statistics.median(times['ours with product']):.1f}")
    ours = {"map": ranking.map, "minp": ranking.minp, "rank1": ranking.rank(1), "rank10": ranking.rank(10)}
    for name, value in ours.items():
        print(f"{name:8} {value:.9f}  loop {slow[name]:.9f}  difference {abs(value - slow[name]):.1e}")


def loop(distances: np.ndarray, query: Seen, gallery: Seen) -> dict[str, float]:
    """One query after another, from the definitions, on all distances sorted at once."""
    indices = np.argsort(distances, axis=1)
    matches = gallery.identities[indices] == query.identities[:, None]
    firsts, precisions, penalties = [], [], []
    for row in range(len(query)):
        order = indices[row]
        own = (gallery.identities[order] == query.identities[row]) & (gallery.cameras[order] == query.cameras[row])
        hits = matches[row][~own].astype(np.int64)
        if query.identities[row] < 0 or not hits.any():
            continue
        so_far = hits.cumsum()
        precision = [count / (rank + 1.0) for rank, count in enumerate(so_far)]
        last = int(np.flatnonzero(hits)[-1])
        firsts.append(int(np.argmax(hits)))
        precisions.append(float((np.asarray(precision) * hits).sum() / hits.sum()))
        penalties.append(so_far[last] / (last + 1.0))
    first = np.array(firsts)
    return {
        "map": float(np.mean(precisions)), "minp": float(np.mean(penalties)), "rank1": float((first < 1).mean()),
        "rank10": float((first < 10).mean()),
    }  # fmt: skip


def mapped(file: Path, count: int, draw: np.random.Generator) -> tuple[np.ndarray, Seen]:
    """A gallery as `made` makes it, its individuals together, float16 [count, DIM] in a file."""
    features = np.lib.format.open_memmap(file, "w+", np.float16, (count, DIM))
    for start in range(0, count, 10_000):
        features[start : start + 10_000] = made(len(features[start : start + 10_000]), draw)[0]
    features.flush()
    seen = Seen(np.sort(draw.integers(-1, count // 20, count)), draw.integers(0, CAMERAS, count))
    return np.load(file, mmap_mode="r"), seen


def large(count: int, part: int, file: Path | None) -> None:
    draw, part = np.random.default_rng(0), min(part, count)
    asked, query = made(part if file else count, draw, count // 20)
    held, answers = mapped(file, count, draw) if file else made(count, draw, count // 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun = time.perf_counter()
    blocks = euclidean(asked, held if file else held[by_identity(answers)])
    ranking = rank_queries(blocks, query.rows(np.arange(part)), answers)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    whole, share = 4 * count**2 / 2**30, count / part
    print(f"{count:,} x {count:,}: {part:,} queries in {seconds:.1f} s, so all in about "
          f"{seconds * share / 60:.1f} min; mAP {ranking.map:.5f}")  # fmt: skip
    print(f"largest resident set {peak:,.0f} MB, {before:,.0f} MB of it before ranking (gallery "
          f"{held.nbytes / 2**20:,.0f} MB); all distances at once would be {whole:,.1f} GB")  # fmt: skip


if __name__ == "__main__":
    main()
