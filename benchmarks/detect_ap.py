"""COCO's numbers by `studio.metrics.detection.coco_ap` against pycocotools: the same to 1e-4, and how much faster.

python benchmarks/detect_ap.py [--images 500] [--boxes 100]

Both get the same arrays, in turns; times include building their own structures.
"""

import argparse
import contextlib
import io
import time
from typing import Any

import numpy as np

from studio.data.boxes import Boxes, Detections
from studio.metrics.detection import TWELVE, coco_ap

CLASSES = [f"class {number}" for number in range(20)]


def made(images: int, boxes: int) -> tuple[list[Boxes], list[Detections]]:
    """Ten objects an image; `boxes` detections, some near them."""
    draw = np.random.default_rng(0)
    truths, found = [], []
    for _ in range(images):
        corners, labels = some(draw, 10), draw.integers(0, len(CLASSES), 10)
        near = np.concatenate([corners + draw.normal(0, 6, corners.shape), some(draw, boxes - 10)]).astype(np.float32)
        guesses = np.concatenate([labels, draw.integers(0, len(CLASSES), boxes - 10)])
        truths.append(Boxes.of(corners, labels))
        found.append(Detections(near, guesses, draw.random(boxes).astype(np.float32)))
    return truths, found


def some(draw: np.random.Generator, count: int) -> np.ndarray:
    start = draw.uniform(0, 500, (count, 2))
    return np.concatenate([start, start + draw.uniform(5, 200, (count, 2))], axis=1)


def peer(truths: list[Boxes], found: list[Detections]) -> list[float]:
    """The twelve numbers by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    from studio.metrics.detection import _found, _truths

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = _truths(truths, CLASSES)
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(_found(found)), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return list(judge.stats)


def ours(truths: list[Boxes], found: list[Detections]) -> list[float]:
    numbers = coco_ap(truths, found, CLASSES)
    return [numbers[name] for name in TWELVE]


def timed(work: Any, *given: Any) -> tuple[float, list[float]]:
    begun = time.perf_counter()
    result = work(*given)
    return time.perf_counter() - begun, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--boxes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    data = made(args.images, args.boxes)
    rounds = [(timed(peer, *data), timed(ours, *data)) for _ in range(args.rounds)]
    theirs_s, ours_s = (min(pair[side][0] for pair in rounds) for side in (0, 1))
    apart = np.abs(np.array(rounds[0][0][1]) - np.array(rounds[0][1][1])).max()
    print(f"{args.images} images, {args.boxes} boxes each: pycocotools {theirs_s:.2f} s, here {ours_s:.2f} s")
    print(f"ratio {theirs_s / ours_s:.1f}; largest difference of the twelve numbers {apart:.1e}")


if __name__ == "__main__":
    main()
