"""How a network that finds things is run: decode once, train in the one loop, judge by COCO's AP of masks, leave it."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from adapters.detect.classes import said_of_kept
from adapters.detect.face import Detector
from adapters.segment.data.splits import resolve_mask_splits
from adapters.segment.instances.data import ThingBatches, ThingSplit, decode_things, thing_classes
from adapters.segment.instances.predictor import ThingPredictor, find
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Procedure
from studio.core.registry import procedure
from studio.data import read_image
from studio.data.masks.instances import Instances
from studio.engine.loop import Progress
from studio.engine.meters import Meter
from studio.engine.session import Session, restore, save_checkpoint, setup, to_device, train
from studio.figures import curves_figure, grid_figure
from studio.figures.masks import draw_instances
from studio.metrics.detection import best_threshold, coco_ap, coco_mask_ap
from studio.store import Checkpoint

BATCH = 8  # images looked at together when judging
SHOWN = 3  # images beside their truth


@procedure
class SegmentingThings(Procedure):
    """Runs and restores every network of task segment that finds things."""

    task = "segment"
    face = Detector

    def run(self, job: Job) -> Outcome:
        recipe, settings = job.recipe, job.recipe.train
        splits = resolve_mask_splits(recipe.data, settings.seed, job.home)
        for remark in (splits.note, *splits.train.remarks):
            job.events.note(remark)
        session = _setup(job, thing_classes(splits.train.classes))
        val = decode_things(job, splits.val, session.preprocess, "val")
        test = decode_things(job, splits.test, session.preprocess, "test") if splits.test is not None else None
        meter, progress = Meter(job.device), Progress()
        if settings.epochs:
            batches = ThingBatches(
                decode_things(job, splits.train, session.preprocess, "train"), session.preprocess, settings
            )
            progress = train(job, session, batches, lambda: _judge(job, session, val), "map")
            meter.images = batches.batch_size * progress.step
        throughput = meter.read()
        if progress.best is not None and recipe.eval.selection != "last":
            session.learner.load_state(progress.best)
        threshold = _threshold(job, session, val)
        metrics = _report(job, session, test or val, threshold, progress.history)
        metrics.update(throughput, selection=recipe.eval.selection, scored_on="test" if test else "val")
        metrics["score_threshold"] = round(threshold, 4)
        if progress.best_epoch > 0 and recipe.eval.selection != "last":
            metrics["best_epoch"] = progress.best_epoch
        return Outcome(metrics, save_checkpoint(job, session, metrics).id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> ThingPredictor:
        session = restore(checkpoint, device, home)
        threshold = checkpoint.manifest.metrics.get("score_threshold", 0.5)
        return ThingPredictor(session.learner, session.classes, session.preprocess, device, threshold)


def _setup(job: Job, classes: list[str]) -> Session:
    """The network set up on its backbone, or gone on with from a checkpoint of the same method and classes."""
    model = job.recipe.model
    going_on = job.store.checkpoint(model.checkpoint) if model.checkpoint else None
    if going_on is not None and (going_on.manifest.method, going_on.manifest.classes) != (job.recipe.method, classes):
        raise UsageError(
            f"model.checkpoint: {going_on.id} was made by {going_on.manifest.method} for "
            f"{going_on.manifest.classes[:8]}; this run is {job.recipe.method} for {classes[:8]}. Only the same method "
            "and classes can go on."
        )
    if going_on is None and job.recipe.train.epochs == 0:
        raise UsageError("train.epochs: 0 evaluates only, which needs model.checkpoint to name a checkpoint.")
    spec = going_on.manifest.backbone["spec"] if going_on else model.backbone
    backbone = registry.backbone(spec, home=job.home, image_size=model.image_size)
    session = setup(job, job.method, backbone, classes, replace(backbone.preprocess, squash=True))
    if going_on is not None:
        session.learner.load_state(going_on.tensors())
        job.events.note(f"Starts from checkpoint {going_on.id}.")
    else:
        _say_what_is_kept(job, session, backbone.spec)
    to_device(job, session)
    return session


def _say_what_is_kept(job: Job, session: Session, spec: str) -> None:
    """Of a network that was pretrained as a whole. Raises UsageError where one is needed, and this is none."""
    known = session.learner.pretrained_classes
    if known is not None:
        job.events.note(said_of_kept(spec, known, session.classes))
    elif session.learner.needs_start:
        raise UsageError(
            f"params.heads_only: {spec} is a backbone alone, on which nothing was trained yet that finds things. Name "
            "a trained one in model.checkpoint, or a Mask2Former that is pretrained as a whole in model.backbone."
        )


def _found(job: Job, session: Session, split: ThingSplit) -> list[Instances]:
    """What is found in a split, at the size of its masks."""
    session.learner.train_mode(False)
    found: list[Instances] = []
    for start in range(0, len(split.truths), BATCH):
        rows = slice(start, start + BATCH)
        pixels = torch.from_numpy(np.ascontiguousarray(split.pixels[rows])).to(job.device)
        found += find(session.learner, pixels, session.preprocess, [truth.size for truth in split.truths[rows]])
    return found


def _judge(job: Job, session: Session, val: ThingSplit) -> dict[str, float]:
    numbers = coco_mask_ap(val.truths, _found(job, session, val), session.classes)
    scores = {name: numbers[name] or 0.0 for name in ("map", "map_50")}
    return {**scores, "score": scores["map"]}


def _threshold(job: Job, session: Session, val: ThingSplit) -> float:
    """The score from which things are shown: that of the best F1 of boxes on val."""
    found = _found(job, session, val)
    return best_threshold(
        [truth.boxes for truth in val.truths], [things.detections for things in found], len(session.classes)
    )


def _report(
    job: Job, session: Session, split: ThingSplit, threshold: float, history: list[dict[str, float]]
) -> dict[str, Any]:
    """AP of masks by COCO's names, that of boxes beside; a table of classes, curves, images with truth and answer."""
    found, classes = _found(job, session, split), session.classes
    metrics = coco_mask_ap(split.truths, found, classes)
    boxes = coco_ap([truth.boxes for truth in split.truths], [things.detections for things in found], classes)
    metrics.update(box_map=boxes["map"], box_map_50=boxes["map_50"])
    rows = [[name, metrics["map_per_class"][name], boxes["map_per_class"][name]] for name in classes]
    job.table("per class", ["class", "AP of masks", "AP of boxes"], rows)
    job.events.note(f"AP is COCO's, of masks at their own size; images show things from a score of {threshold:.2f} on.")
    if history:
        job.figure("curves", curves_figure(history))
    images, captions = [], []
    for item, truth, things in list(zip(split.dataset.items, split.truths, found, strict=True))[:SHOWN]:
        image, shown = read_image(item.source, item.name), things.above(threshold)
        images += [draw_instances(image, truth, classes), draw_instances(image, shown, classes)]
        captions += [f"{item.name}: {len(truth)} things", f"this model: {len(shown)}"]
    job.figure("things", grid_figure(images, captions, columns=2, tile=3.4))
    return metrics
