"""What a detect run shows of itself: AP by its contract names, curves, kinds of errors, images."""

from typing import Any

import numpy as np
from PIL import Image

from adapters.detect.face import Detector
from studio.core.procedure import Job
from studio.data import Dataset, read_image
from studio.data.boxes import Boxes, Detections
from studio.data.preprocess import Preprocess
from studio.engine.decoded import Decoded, inputs
from studio.figures import curves_figure, grid_figure, overlay
from studio.figures.boxes import draw_detections, draw_judged, precision_recall_figure
from studio.metrics.detection import coco_ap, known_and_new, precision_recall, voc_ap50
from studio.metrics.detection_errors import KINDS, count_errors, judge

IMAGES = 6
LOOKED_AT, SUREST = 3, 3  # images and queries whose looking is drawn


def report(
    job: Job, dataset: Dataset, truths: list[Boxes], detections: list[Detections], threshold: float,
    history: list[dict[str, float]], before: list[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Metrics of what was found in the images of `dataset`; figures and tables go into the run.

    Errors are counted, and images drawn, for detections of at least `threshold`. `before`: the classes that the
    detector knew when it went on from another; then AP is told of these and of the new ones too.
    """
    classes = dataset.classes
    metrics = coco_ap(truths, detections, classes)
    areas = voc_ap50(truths, detections, len(classes))
    known = [area for area in areas if area is not None]
    eleven = [area for area in voc_ap50(truths, detections, len(classes), eleven_points=True) if area is not None]
    metrics["voc_ap50"] = sum(known) / len(known) if known else None
    metrics["voc07_ap50"] = sum(eleven) / len(eleven) if eleven else None
    curves = [(name, *precision_recall(truths, detections, label)[:2]) for label, name in enumerate(classes)]
    job.figure("precision-recall", precision_recall_figure(curves, areas))
    if history:
        job.figure("curves", curves_figure(history))
    judged = [judge(truth, answer.above(threshold)) for truth, answer in zip(truths, detections, strict=True)]
    job.table(
        f"boxes at score {threshold:.2f} and above",
        ["class", "objects", "right", "missed", *KINDS[1:]],
        count_errors(truths, judged, classes),
    )
    rows = [[name, metrics["map_per_class"][name], area] for name, area in zip(classes, areas, strict=True)]
    columns = ["class", "AP", "AP50"]
    if before is not None:
        metrics.update(known_and_new(metrics["map_per_class"], before))
        columns, rows = [*columns, "before"], [[*row, "known" if row[0] in before else "new"] for row in rows]
    job.table("per class", columns, rows)
    worst = sorted(range(len(truths)), key=lambda i: -_faults(truths[i], judged[i]))[:IMAGES]
    images = [draw_judged(read_image(dataset.items[i].source), truths[i], judged[i], classes) for i in worst]
    captions = [f"{dataset.items[i].name}: {_faults(truths[i], judged[i])} faults" for i in worst]
    job.figure("boxes", grid_figure(images, captions, columns=3, tile=3.4))
    return metrics


def show_queries(job: Job, learner: Detector, split: Decoded, preprocess: Preprocess) -> None:
    """Where the surest queries look in the first images of a split, where the detector has queries."""
    heatmaps = learner.query_heatmaps(inputs(job, split, preprocess, slice(0, LOOKED_AT)), SUREST)
    if heatmaps is None:
        return
    name, detections, heats = heatmaps
    images, captions = [], []
    for pixels, surest, heat in zip(split.pixels, detections, heats, strict=False):
        image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        for query in range(len(surest)):
            box = Detections(*(part[query : query + 1] for part in (surest.xyxy, surest.labels, surest.scores)))
            images.append(draw_detections(overlay(image, heat[query].cpu().numpy()), box, split.dataset.classes))
            captions.append(f"{name}: {split.dataset.classes[surest.labels[query]]} {surest.scores[query]:.2f}")
    job.figure("attention", grid_figure(images, captions, columns=SUREST))


def _faults(truth: Boxes, judged: Any) -> int:
    return int((judged.kinds > 0).sum() + ((judged.taken < 0) & ~truth.ignore).sum())
