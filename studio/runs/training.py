"""How a classify Learner is run: decode once, train in the one loop, report, leave a checkpoint."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from studio.core import registry
from studio.core.errors import DataError, UsageError
from studio.core.faces import Learner, LearnerContext
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.registry import procedure
from studio.data import Dataset, require_classes, resolve_splits
from studio.data.pixels import decode
from studio.data.preprocess import Preprocess
from studio.data.transforms import augment, normalize, to_input
from studio.runs.loop import Loop, LossNotFinite, Progress
from studio.runs.meters import Meter
from studio.runs.report import report
from studio.runs.shared import features_of, manifest_of
from studio.store import Checkpoint

MARGIN = 1.15  # training images are kept a little larger than the input, so that crops have room


class TrainBatches:
    """Augmented batches of decoded images; the batch of a step depends on (seed, step) alone."""

    def __init__(self, pixels: Any, labels: np.ndarray, preprocess: Preprocess, batch_size: int, seed: int) -> None:
        self.pixels, self.labels, self.preprocess = pixels, torch.from_numpy(labels), preprocess
        self.batch_size, self.seed = min(batch_size, len(labels)), seed
        self.steps_per_epoch = max(1, len(labels) // self.batch_size)

    def batch(self, step: int) -> dict[str, Tensor]:
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.labels))
        rows = order[place * self.batch_size : (place + 1) * self.batch_size]
        chosen = torch.from_numpy(np.ascontiguousarray(self.pixels[np.sort(rows)]))
        draw = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        images = augment(chosen, self.preprocess, draw)
        return {"images": images, "labels": self.labels[np.sort(rows)]}


@dataclass
class Decoded:
    """A split in memory: pixels uint8 [N, 3, H, W] and the images they are of."""

    pixels: Any
    dataset: Dataset


@procedure
class Training(Procedure):
    """Runs and restores every Learner of task classify."""

    task = "classify"
    face = Learner

    def run(self, job: Job) -> Outcome:
        recipe, settings = job.recipe, job.recipe.train
        if settings.epochs == 0 and recipe.model.checkpoint is None:
            raise UsageError("train.epochs: 0 evaluates only, which needs model.checkpoint to name a checkpoint.")
        splits = resolve_splits(recipe.data, settings.seed)
        require_classes(splits.train, 2)
        job.events.note(splits.note)
        classes = splits.train.classes
        backbone, going_on = _start(job, classes)
        preprocess = backbone.preprocess
        learner = job.method
        learner.setup(LearnerContext(backbone, classes, settings.seed, preprocess.image_size))
        if going_on is not None:
            learner.load_state(going_on.tensors())
        learner.module.to(job.device)
        if learner.needs_features and going_on is None and settings.epochs > 0 and not job.resume:
            features, read = features_of(job, splits.train, backbone, "train")
            learner.start_from(features, read.labels)
        train = _decode(job, splits.train, preprocess, "train", MARGIN)
        val = _decode(job, splits.val, preprocess, "val")
        test = _decode(job, splits.test, preprocess, "test") if splits.test is not None else None

        meter = Meter(job.device)
        progress = Progress()
        if settings.epochs > 0:
            batches = TrainBatches(train.pixels, train.dataset.labels, preprocess, settings.batch_size, settings.seed)
            loop = Loop(
                learner, batches, settings, job, lambda: _judge(predict_pixels(job, learner, val, preprocess), val)
            )
            progress = self._train(loop, job, learner, backbone, classes)
            meter.images = batches.batch_size * progress.step
        throughput = meter.read()
        if progress.best is not None and recipe.eval.selection != "last":
            learner.load_state(progress.best)
        scored = test or val
        metrics = report(job, predict_pixels(job, learner, scored, preprocess), scored.dataset, progress.history)
        metrics.update(throughput, selection=recipe.eval.selection, scored_on="test" if test else "val")
        if progress.best_epoch > 0:
            metrics["best_epoch"] = progress.best_epoch
        return Outcome(metrics, self._leave(job, learner, backbone, classes, metrics).id)

    def _train(self, loop: Loop, job: Job, learner: Learner, backbone: Any, classes: list[str]) -> Progress:
        try:
            return loop.run()
        except LossNotFinite:
            if loop.progress.best is not None:
                learner.load_state(loop.progress.best)
                kept = self._leave(job, learner, backbone, classes, {"accuracy": loop.progress.best_score})
                job.events.emit("checkpoint", checkpoint=kept.id, role="last-good")
            raise

    def _leave(
        self, job: Job, learner: Learner, backbone: Any, classes: list[str], metrics: dict[str, Any]
    ) -> Checkpoint:
        return job.store.put(manifest_of(job, backbone, classes, metrics), learner.state())

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> Predictor:
        manifest = checkpoint.manifest
        cls = registry.get(manifest.method)
        learner = cls(cls.Params(**manifest.params))
        backbone = registry.backbone(
            manifest.backbone["spec"],
            home=home,
            image_size=manifest.backbone["image_size"],
            weights=not cls.whole,
            architecture=manifest.backbone.get("architecture"),
        )
        learner.setup(LearnerContext(backbone, manifest.classes, 0, manifest.backbone["image_size"]))
        learner.load_state(checkpoint.tensors())
        learner.module.to(device)
        return LearnerPredictor(learner, manifest.classes, Preprocess.from_dict(manifest.preprocess), device)


class LearnerPredictor(Predictor):
    """A trained Learner, ready to look at photos."""

    def __init__(self, learner: Learner, classes: list[str], preprocess: Preprocess, device: str) -> None:
        self.learner, self.classes, self.preprocess, self.device = learner, classes, preprocess, device
        learner.train_mode(False)

    def scores(self, images: list[Image.Image]) -> np.ndarray:
        batch = torch.stack([to_input(image, self.preprocess) for image in images]).to(self.device)
        with torch.inference_mode():
            return self.learner.predict(normalize(batch, self.preprocess)).softmax(dim=1).cpu().numpy()

    def module(self) -> nn.Module:
        return self.learner.module


def predict_pixels(job: Job, learner: Learner, split: Decoded, preprocess: Preprocess) -> np.ndarray:
    """Probabilities [N, C] of a decoded split, in its order."""
    learner.train_mode(False)
    size = max(job.recipe.train.batch_size, 32)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(split.dataset), size):
            batch = torch.from_numpy(np.ascontiguousarray(split.pixels[start : start + size])).to(job.device)
            parts.append(learner.predict(normalize(batch, preprocess)).softmax(dim=1).float().cpu().numpy())
    return np.concatenate(parts)


def _judge(probabilities: np.ndarray, split: Decoded) -> dict[str, float]:
    """Accuracy and loss of a split; `score` is accuracy, ties go to the smaller loss."""
    labels = split.dataset.labels
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    loss = float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())
    return {"accuracy": accuracy, "loss": loss, "score": accuracy - 1e-6 * loss}


def _decode(job: Job, dataset: Dataset, preprocess: Preprocess, what: str, margin: float = 1.0) -> Decoded:
    pixels, kept = decode(
        dataset,
        preprocess,
        margin=margin,
        workers=job.recipe.train.workers,
        folder=job.folder / "pixels",
        on_progress=lambda done, total: job.events.progress(f"reading {what}", done, total),
    )
    for skip in kept.skipped:
        job.events.warning(f"left out {skip.name}: {skip.reason}")
    if len(kept) == 0:
        raise DataError(f"No readable image is left in the {what} split of {dataset.spec}.")
    return Decoded(pixels, kept)


def _start(job: Job, classes: list[str]) -> tuple[Any, Checkpoint | None]:
    """The backbone to start from, and the checkpoint to go on from where its classes are the same."""
    model = job.recipe.model
    if model.checkpoint is None:
        return registry.backbone(model.backbone, home=job.home, image_size=model.image_size), None
    checkpoint = job.store.checkpoint(model.checkpoint)
    same = checkpoint.manifest.classes == classes and checkpoint.manifest.method == job.recipe.method
    if job.recipe.train.epochs == 0 and not same:
        raise UsageError(
            f"model.checkpoint: {checkpoint.id} was made by {checkpoint.manifest.method} for classes "
            f"{checkpoint.manifest.classes[:8]}, the data has {classes[:8]}; only the same can be evaluated."
        )
    again = same and not job.method.whole  # the method lays its own tensors over the original once more
    spec = checkpoint.manifest.backbone["spec"] if again else f"store/{checkpoint.id}"
    backbone = registry.backbone(spec, home=job.home, image_size=model.image_size)
    job.events.note(
        f"Starts from checkpoint {checkpoint.id}"
        + ("." if same else ": its backbone, with a new head for the new classes.")
    )
    return backbone, checkpoint if same else None
