"""What looking again is worth: soft-NMS, voting, fusion, mirrored and scaled views, ensembles; one table.

python benchmarks/detect_tricks.py --data voc:bccd CHECKPOINT [CHECKPOINT ...]

The overlap of each trick is the best of four on val by AP; only the chosen one is scored on test. With several
checkpoints, every one is listed, then all of them joined.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from adapters.detect.data.splits import resolve_box_splits
from adapters.detect.run.fusion import fuse
from adapters.detect.run.views import TTA, View, views_of
from adapters.detect.task import DetectData
from studio.data import Dataset
from studio.data.boxes import Boxes, Detections
from studio.data.files.images import read_image
from studio.data.pixels import decode
from studio.metrics.detection import coco_ap
from studio.runs.predict import Model, load_checkpoint

OVERLAPS = (0.5, 0.55, 0.6, 0.7)
BATCH = 8

Answers = list[Detections]  # one an image
Seen = dict[tuple[float, bool], Answers]  # raw boxes of each view, by scale and whether it is mirrored


def look(model: Model, data: Dataset, scales: Sequence[float]) -> Seen:
    """The raw boxes of every view."""
    predictor = model.predictor
    sizes = [read_image(item.source, item.name).size for item in data.items]
    seen: Seen = {}
    for scale in scales:
        views = views_of(predictor.learner, predictor.preprocess, TTA(mirror=True, scales=(scale,), fusion="nms"))
        pixels, _ = decode(data, views[0].preprocess)
        for view in views:
            seen[scale, view.mirrored] = found(view, pixels, sizes)
    return seen


@torch.inference_mode()
def found(view: View, pixels: np.ndarray, sizes: Sequence[tuple[int, int]]) -> Answers:
    out: Answers = []
    for start in range(0, len(pixels), BATCH):
        rows = slice(start, start + BATCH)
        out += view.find(torch.from_numpy(np.ascontiguousarray(pixels[rows])), sizes[rows])
    return out


def joined(views: Sequence[Answers], how: str, overlap: float) -> Answers:
    return [fuse(answers, how, overlap, most=300) for answers in zip(*views, strict=True)]


def tricks(models: Sequence[Seen], nms: Sequence[float]) -> dict[str, Callable[[float], Answers]]:
    """Each trick by name, as a function of its overlap; `nms` is the overlap that each model allows by itself."""

    def plain(number: int, view: tuple[float, bool] = (1.0, False)) -> Answers:
        return joined([models[number][view]], "nms", nms[number])

    def several(views: Sequence[tuple[float, bool]]) -> Callable[[float], Answers]:
        return lambda overlap: joined(
            [plain(number, view) for number in range(len(models)) for view in views], "wbf", overlap
        )

    one, mirrored = [(1.0, False)], [(1.0, False), (1.0, True)]
    sizes = [view for view in models[0] if not view[1]]
    every = list(models[0])
    if len(models) > 1:
        named = {"WBF": several(one), "WBF, mirrored": several(mirrored)}
        if len(sizes) > 1:
            named["WBF, mirrored and all sizes"] = several(every)
        return named | {
            how: lambda overlap, how=how: joined([plain(number) for number in range(len(models))], how, overlap)
            for how in ("nms", "soft-nms", "voting", "nmw")
        }
    single = {
        how: lambda overlap, how=how: joined([models[0][1.0, False]], how, overlap)
        for how in ("soft-nms-linear", "soft-nms", "voting", "nmw")
    }
    views = {"WBF of mirrored": several(mirrored)}
    if len(sizes) > 1:
        views |= {"WBF of all sizes": several(sizes), "WBF of both": several(every)}
    return {"as it is": lambda overlap: plain(0), **single, **views}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+")
    parser.add_argument("--data", required=True, help="a spec with val and test splits, such as voc:bccd")
    parser.add_argument(
        "--scales", type=float, nargs="*", default=[0.8, 1.0, 1.25], help="sizes to look at; 1 is needed"
    )
    args = parser.parse_args()
    if 1.0 not in args.scales:
        parser.error("--scales: 1 is the plain look that all others are compared with")
    splits = resolve_box_splits(DetectData(train=args.data), 0)
    if splits.test is None:
        parser.error("the data has no test split")
    models = [load_checkpoint(name) for name in args.checkpoints]
    classes = models[0].classes
    print("| detector | trick | overlap | AP on val | AP on test | AP50 | AP75 |\n|---|---|---:|---:|---:|---:|---:|")
    seen = []
    for name, model in zip(args.checkpoints, models, strict=True):
        begun = time.monotonic()
        seen.append((look(model, splits.val, args.scales), look(model, splits.test, args.scales)))
        print(f"<!-- {name}: {time.monotonic() - begun:.0f} s for {len(args.scales) * 2} views -->", flush=True)
        table(name, [seen[-1]], [model], splits.val, splits.test, classes)
    if len(models) > 1:
        table("together", seen, models, splits.val, splits.test, classes)


def table(
    name: str, seen: Sequence[tuple[Seen, Seen]], models: Sequence[Model], val: Dataset, test: Dataset,
    classes: list[str],
) -> None:  # fmt: skip
    """Prints a row a trick: its overlap is the best on val."""
    nms = [getattr(model.predictor.learner.params, "nms", 1.0) for model in models]  # a DETR drops nothing
    on_val, on_test = (tricks([one[place] for one in seen], nms) for place in (0, 1))
    truths = [_truths(part, classes) for part in (val, test)]
    for trick in on_val:
        tried = OVERLAPS if trick != "as it is" else (nms[0],)
        scores = {overlap: coco_ap(truths[0], on_val[trick](overlap), classes)["map"] or 0.0 for overlap in tried}
        best = max(scores, key=lambda overlap: scores[overlap])
        numbers = coco_ap(truths[1], on_test[trick](best), classes)
        cells = " | ".join(f"{numbers[key] or 0.0:.3f}" for key in ("map", "map_50", "map_75"))
        print(f"| {name} | {trick} | {best:g} | {scores[best]:.3f} | {cells} |", flush=True)


def _truths(data: Dataset, classes: list[str]) -> list[Boxes]:
    place = np.array([classes.index(one) for one in data.classes], np.int64)
    return [replace(item.boxes, labels=place[item.boxes.labels]) for item in data.items if item.boxes is not None]


if __name__ == "__main__":
    main()
