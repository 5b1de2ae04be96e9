"""How a Detector is run: decode once, train in the one loop, judge by AP, leave a checkpoint that draws."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from studio.core import registry
from studio.core.boxes import Boxes, Detections
from studio.core.errors import UsageError
from studio.core.faces import Detector, LearnerContext
from studio.core.home import Home
from studio.core.precision import choose_memory_format
from studio.core.procedure import BoxPredictor, Job, Outcome, Procedure
from studio.core.registry import procedure
from studio.data import Dataset
from studio.data.box_batches import BoxBatches
from studio.data.box_splits import resolve_box_splits
from studio.data.box_transforms import scaled
from studio.data.images import inspect_image
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize, to_input
from studio.metrics.detection import best_threshold, coco_ap
from studio.runs.box_report import report
from studio.runs.decoded import Decoded, decode_split, inputs
from studio.runs.loop import Loop, Progress
from studio.runs.meters import Meter
from studio.runs.shared import manifest_of
from studio.store import Checkpoint

BATCH = 8  # pictures looked at together when judging


@dataclass
class Split:
    """A decoded split, with its boxes in its own pixels and in those of the input."""

    decoded: Decoded
    truths: list[Boxes]
    sizes: list[tuple[int, int]]
    side: int

    @property
    def inputs(self) -> list[Boxes]:
        """The boxes in pixels of the square input."""
        return [
            Boxes(scaled(truth.xyxy, size, self.side), truth.labels, truth.ignore)
            for truth, size in zip(self.truths, self.sizes, strict=True)
        ]


@dataclass
class Start:
    """A detector that is set up, and what it started from."""

    learner: Detector
    backbone: Any
    preprocess: Preprocess
    hash: str  # of the backbone, before anything was trained
    classes: list[str]


@procedure
class Detecting(Procedure):
    """Runs and restores every Detector."""

    task = "detect"
    face = Detector

    def run(self, job: Job) -> Outcome:
        recipe, settings = job.recipe, job.recipe.train
        _refuse(job)
        splits = resolve_box_splits(recipe.data, settings.seed, job.home)
        for remark in (splits.note, *splits.train.remarks):
            job.events.note(remark)
        start = _start(job, splits.train.classes)
        learner, preprocess = start.learner, start.preprocess
        val = _decoded(job, splits.val, preprocess, "val")
        test = _decoded(job, splits.test, preprocess, "test") if splits.test is not None else None
        meter, progress = Meter(job.device), Progress()
        if settings.epochs:
            train = _decoded(job, splits.train, preprocess, "train")
            batches = BoxBatches(train.decoded.pixels, train.inputs, preprocess, settings)
            progress = _fit(job, start, batches, val)
            meter.images = batches.batch_size * progress.step
        throughput = meter.read()
        if progress.best is not None and recipe.eval.selection != "last":
            learner.load_state(progress.best)
        threshold = best_threshold(val.truths, detect(job, learner, val, preprocess), len(start.classes))
        scored = test or val
        found = detect(job, learner, scored, preprocess)
        metrics = report(job, scored.decoded.dataset, scored.truths, found, threshold, progress.history)
        metrics.update(throughput, selection=recipe.eval.selection, scored_on="test" if test else "val")
        metrics["score_threshold"] = round(threshold, 4)
        if progress.best_epoch > 0:
            metrics["best_epoch"] = progress.best_epoch
        return Outcome(metrics, _leave(job, start, metrics).id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> BoxPredictor:
        manifest = checkpoint.manifest
        cls = registry.get(manifest.method)
        learner = cls(cls.Params(**manifest.params))
        size = manifest.preprocess["image_size"]
        backbone = registry.backbone(
            manifest.backbone["spec"], home=home, image_size=size, weights=False,
            architecture=manifest.backbone.get("architecture"),
        )  # fmt: skip
        learner.setup(LearnerContext(backbone, manifest.classes, 0, size, training=False))
        learner.load_state(checkpoint.tensors())
        learner.module.to(device)
        threshold = manifest.metrics.get("score_threshold", 0.5)
        preprocess = Preprocess.from_dict(manifest.preprocess)
        return DetectorPredictor(learner, manifest.classes, preprocess, device, threshold)


class DetectorPredictor(BoxPredictor):
    """A trained Detector, ready to look at photos."""

    def __init__(
        self, learner: Detector, classes: list[str], preprocess: Preprocess, device: str, threshold: float
    ) -> None:
        self.learner, self.classes, self.preprocess, self.device = learner, classes, preprocess, device
        self.threshold = threshold
        learner.train_mode(False)

    def boxes(self, images: list[Image.Image]) -> list[Detections]:
        batch = torch.stack([to_input(image, self.preprocess) for image in images]).to(self.device)
        with torch.inference_mode():
            found = self.learner.predict(normalize(batch, self.preprocess))
        side = self.preprocess.image_size
        return [in_picture(one, image.size, side) for one, image in zip(found, images, strict=True)]


def detect(job: Job, learner: Detector, split: Split, preprocess: Preprocess) -> list[Detections]:
    """What the detector finds in a split, in pixels of the pictures."""
    learner.train_mode(False)
    found: list[Detections] = []
    with torch.inference_mode():
        for start in range(0, len(split.truths), BATCH):
            found += learner.predict(inputs(job, split.decoded, preprocess, slice(start, start + BATCH)))
    return [in_picture(one, size, split.side) for one, size in zip(found, split.sizes, strict=True)]


def in_picture(found: Detections, size: tuple[int, int], side: int) -> Detections:
    """Detections in a square input of `side` pixels as they lie in the picture of `size`, cut at its edges."""
    factors = np.array([size[0] / side, size[1] / side] * 2, np.float32)
    corners = np.clip(found.xyxy * factors, 0, np.array([size[0], size[1]] * 2, np.float32))
    return Detections(corners, found.labels, found.scores)


def _fit(job: Job, start: Start, batches: BoxBatches, val: Split) -> Progress:
    """Trains to the end; where the loss breaks, the best epoch so far is left as a checkpoint."""
    loop = Loop(start.learner, batches, job.recipe.train, job, lambda: _judge(job, start, val))
    return loop.run(keep=lambda score: _leave(job, start, {"map": score}).id)


def _leave(job: Job, start: Start, metrics: dict[str, Any]) -> Checkpoint:
    """The checkpoint of the detector as it is now; it names the backbone it started from."""
    manifest = manifest_of(job, start.backbone, start.classes, metrics)
    manifest.preprocess, manifest.backbone["hash"] = start.preprocess.to_dict(), start.hash
    return job.store.put(manifest, start.learner.state())


def _judge(job: Job, start: Start, val: Split) -> dict[str, float]:
    found = detect(job, start.learner, val, start.preprocess)
    numbers = coco_ap(val.truths, found, start.classes)
    scores = {name: numbers[name] or 0.0 for name in ("map", "map_50")}
    return {**scores, "score": scores["map"]}


def _decoded(job: Job, dataset: Dataset, preprocess: Preprocess, what: str) -> Split:
    decoded = decode_split(job, dataset, preprocess, what)
    truths, sizes = [], []
    for item in decoded.dataset.items:
        assert item.boxes is not None  # resolve_box_splits has seen to it
        truths.append(item.boxes)
        sizes.append(inspect_image(item.source, item.name))
    return Split(decoded, truths, sizes, preprocess.image_size)


def _start(job: Job, classes: list[str]) -> Start:
    """The detector set up on its backbone, on the job's device, ready to train or to be judged."""
    model, settings = job.recipe.model, job.recipe.train
    going_on = job.store.checkpoint(model.checkpoint) if model.checkpoint else None
    spec = model.backbone
    if going_on is not None:
        made = going_on.manifest
        spec = made.backbone["spec"]
        if made.method != job.recipe.method or made.classes != classes:
            raise UsageError(
                f"model.checkpoint: {going_on.id} was made by {made.method} for {made.classes[:8]}; this run is "
                f"{job.recipe.method} for {classes[:8]}. Only the same can go on."
            )
        job.events.note(f"Starts from checkpoint {going_on.id}.")
    elif settings.epochs == 0:
        raise UsageError("train.epochs: 0 evaluates only, which needs model.checkpoint to name a checkpoint.")
    backbone = registry.backbone(spec, home=job.home, image_size=model.image_size)
    preprocess = Preprocess.from_dict({**backbone.preprocess.to_dict(), "squash": True})
    learner: Detector = job.method  # type: ignore[assignment]
    start = Start(learner, backbone, preprocess, backbone.hash, classes)
    learner.setup(LearnerContext(backbone, classes, settings.seed, preprocess.image_size))
    if going_on is not None:
        learner.load_state(going_on.tensors())
    layout = getattr(torch, choose_memory_format(job.device, backbone.kind))
    learner.module.to(job.device, memory_format=layout)
    return start


def _refuse(job: Job) -> None:
    """Raises UsageError for settings of training that are made for classifying whole pictures."""
    settings = job.recipe.train
    if settings.augment in ("trivial", "rand"):
        raise UsageError(
            f"train.augment: {settings.augment} moves pictures without their boxes; expected none, crop or flip."
        )
    for name in ("mixup", "cutmix", "erasing", "balanced", "folds"):
        if getattr(settings, name):
            raise UsageError(f"train.{name}: this is for classifying; leave it out for task detect.")
