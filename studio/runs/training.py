"""How a classify Learner is run: decode once, train in the one loop, report, leave a checkpoint."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from studio.core import registry
from studio.core.errors import DataError, UsageError
from studio.core.faces import Learner, LearnerContext
from studio.core.home import Home
from studio.core.precision import choose_memory_format
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.registry import procedure
from studio.data import Dataset, require_classes, resolve_splits
from studio.data.preprocess import Preprocess
from studio.data.reading import features_of
from studio.data.splits import Splits, k_folds, some
from studio.data.transforms import normalize, to_input
from studio.runs.batches import TrainBatches
from studio.runs.decoded import MARGIN, Decoded, decode_split, judge, predict_pixels
from studio.runs.insight import calibrate, features_now, map_features, show_where_it_looks
from studio.runs.loop import Loop, Progress
from studio.runs.meters import Meter
from studio.runs.report import report
from studio.runs.runner import rank
from studio.runs.shared import manifest_of
from studio.store import Checkpoint
from studio.store.state import generations, load_state, save_state


@dataclass
class Start:
    """A learner that is set up, and what it started from."""

    learner: Learner
    backbone: Any
    preprocess: Preprocess
    hash: str  # of the backbone, before anything was trained
    classes: list[str]


@procedure
class Training(Procedure):
    """Runs and restores every Learner of task classify."""

    task = "classify"
    face = Learner
    shares = True

    def run(self, job: Job) -> Outcome:
        recipe, settings = job.recipe, job.recipe.train
        if settings.epochs == 0 and recipe.model.checkpoint is None:
            raise UsageError("train.epochs: 0 evaluates only, which needs model.checkpoint to name a checkpoint.")
        splits = resolve_splits(recipe.data, settings.seed, job.home)
        require_classes(splits.train, 2)
        job.events.note(splits.note)
        if job.method.interpolates:
            return self._interpolate(job, splits)
        if settings.folds and settings.epochs > 0:
            return self._cross_validate(job, splits)
        return self._train_once(job, splits)

    def _train_once(self, job: Job, splits: Splits) -> Outcome:
        recipe, settings = job.recipe, job.recipe.train
        start = begin(job, job.method, splits.train)
        learner, preprocess = start.learner, start.preprocess
        train = decode_split(job, splits.train, preprocess, "train", MARGIN) if settings.epochs else None
        val = decode_split(job, splits.val, preprocess, "val")
        test = decode_split(job, splits.test, preprocess, "test") if splits.test is not None else None
        before = features_now(job, learner, val, preprocess)
        meter, progress = Meter(job.device), Progress()
        if train is not None:
            progress = fit(job, start, train, val)
            meter.images = min(settings.batch_size, len(train.dataset)) * progress.step
        throughput = meter.read()
        if progress.best is not None and recipe.eval.selection != "last":
            learner.load_state(progress.best)
        if rank() > 0:
            return Outcome()
        map_features(job, val, before, features_now(job, learner, val, preprocess))
        show_where_it_looks(job, learner, val, preprocess)
        on_val = predict_pixels(job, learner, val, preprocess)
        scored, found = (test, predict_pixels(job, learner, test, preprocess)) if test else (val, on_val)
        metrics = report(job, found, scored.dataset, progress.history)
        metrics.update(calibrate(on_val, val.dataset.labels, found, scored.dataset.labels))
        metrics.update(throughput, selection=recipe.eval.selection, scored_on="test" if test else "val")
        if progress.best_epoch >= 0:
            metrics["best_epoch"] = progress.best_epoch
        return Outcome(metrics, leave(job, start, metrics).id)

    def _cross_validate(self, job: Job, splits: Splits) -> Outcome:
        """One training a fold, judged on the images it has not seen; then one on all images, which is kept."""
        recipe, settings = job.recipe, job.recipe.train
        if recipe.data.val is not None:
            raise UsageError("train.folds: k-fold makes its own validation sets; leave data.val out, or train.folds.")
        whole = _joined(splits)
        folds = k_folds(whole.labels, settings.folds, settings.seed)
        meter = Meter(job.device)
        out_of_fold = np.zeros((len(whole), len(whole.classes)), np.float32)
        scores = []
        for number, (kept, held) in enumerate(folds, start=1):
            out_of_fold[held] = self._fold(job, whole, kept, held, f"fold {number}")
            scores.append(float((out_of_fold[held].argmax(axis=1) == whole.labels[held]).mean()))
        start = begin(job, _fresh(job), whole, "all")
        train = decode_split(job, whole, start.preprocess, "train", MARGIN)
        progress = fit(job, start, train, None, "all")
        if rank() > 0:
            return Outcome()
        meter.images = min(settings.batch_size, len(whole)) * progress.step
        metrics = report(job, out_of_fold, whole)
        metrics.update(meter.read(), selection="k-fold", scored_on=f"{settings.folds}-fold cross-validation")
        job.table("folds", ["fold", "accuracy"], [[i, round(score, 4)] for i, score in enumerate(scores, start=1)])
        if splits.test is not None:
            test = decode_split(job, splits.test, start.preprocess, "test")
            metrics.update(report(job, predict_pixels(job, start.learner, test, start.preprocess), test.dataset))
            metrics["scored_on"] = "test"
        return Outcome(metrics, leave(job, start, metrics).id)

    def _fold(self, job: Job, whole: Dataset, kept: np.ndarray, held: np.ndarray, name: str) -> np.ndarray:
        """Probabilities [H, C] of the held-out images; kept in the resume state when done."""
        done = job.folder / "state" / f"{name} done"
        if job.resume and (saved := load_state(done)) is not None:
            return saved["probabilities"]
        start = begin(job, _fresh(job), whole.subset(kept), name)
        train = decode_split(job, whole.subset(kept), start.preprocess, "train", MARGIN)
        val = decode_split(job, whole.subset(held), start.preprocess, "val")
        if len(val.dataset) != len(held):
            raise DataError(f"{whole.spec} has images that can't be read; take them out before cross-validating.")
        progress = fit(job, start, train, val, name)
        if progress.best is not None and job.recipe.eval.selection != "last":
            start.learner.load_state(progress.best)
        probabilities = predict_pixels(job, start.learner, val, start.preprocess)
        if rank() == 0:
            save_state(done, {"probabilities": probabilities})
        return probabilities

    def _interpolate(self, job: Job, splits: Splits) -> Outcome:
        """Weights between a checkpoint and its start: each alpha is scored on val, the best is kept."""
        end, learner = _finished(job, splits.train.classes), job.method
        start = begin(job, learner, splits.train)
        val = decode_split(job, splits.val, start.preprocess, "val")
        first, last = {name: tensor.clone() for name, tensor in learner.state().items()}, end.tensors()
        scores = {}
        for alpha in learner.alphas():
            learner.load_state(blend(first, last, alpha))
            scores[alpha] = judge(predict_pixels(job, learner, val, start.preprocess), val)
        best = max(scores, key=lambda alpha: scores[alpha]["score"])
        rows = [[alpha, round(values["accuracy"], 4), round(values["loss"], 4)] for alpha, values in scores.items()]
        job.table("alpha (0: before, 1: after fine-tuning)", ["alpha", "val accuracy", "val loss"], rows)
        learner.load_state(blend(first, last, best))
        if rank() > 0:
            return Outcome()
        scored = val if splits.test is None else decode_split(job, splits.test, start.preprocess, "test")
        metrics = report(job, predict_pixels(job, learner, scored, start.preprocess), scored.dataset)
        scored_on = "val" if splits.test is None else "test"
        metrics.update(alpha=best, selection=job.recipe.eval.selection, scored_on=scored_on)
        return Outcome(metrics, leave(job, start, metrics).id)

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
        if not cls.whole and backbone.hash != manifest.backbone["hash"]:
            raise UsageError(
                f"The backbone {manifest.backbone['spec']} is not the one that {checkpoint.id} was made with: its "
                "weights differ. Get back the package or file it came from."
            )
        size = manifest.backbone["image_size"]
        learner.setup(LearnerContext(backbone, manifest.classes, 0, size, training=False))
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

    def plain(self) -> nn.Module | None:
        """A backbone and a head alone that compute the same, for other libraries; None if there is no such form."""
        return self.learner.plain()


def begin(job: Job, learner: Learner, train: Dataset, name: str = "") -> Start:
    """The learner set up on its backbone, on the job's device, ready to train on `train`."""
    settings = job.recipe.train
    backbone, going_on = _backbone(job, train.classes)
    backbone.to(job.device)
    resumed = job.resume and bool(generations(job.folder / "state" / name))
    training = settings.epochs > 0 or learner.interpolates
    wanted = learner.needs_features and training and going_on is None and not resumed
    features = features_of(job, train, backbone, "train") if wanted else None
    start = Start(learner, backbone, backbone.preprocess, backbone.hash, train.classes)
    size = backbone.preprocess.image_size
    learner.setup(LearnerContext(backbone, train.classes, settings.seed, size, training=training))
    if going_on is not None:
        learner.load_state(going_on.tensors())
    layout = getattr(torch, choose_memory_format(job.device, backbone.kind))
    learner.module.to(job.device, memory_format=layout)
    if features is not None:
        learner.start_from(features[0], features[1].labels)
    return start


def fit(job: Job, start: Start, train: Decoded, val: Decoded | None, name: str = "") -> Progress:
    """Trains to the end; where the loss breaks, the best epoch so far is left as a checkpoint."""
    learner, settings = start.learner, job.recipe.train
    batches = TrainBatches(train.pixels, train.dataset.labels, len(train.dataset.classes), start.preprocess, settings)

    def evaluate() -> dict[str, float]:
        if val is None:  # trained on all there is: the last epoch is kept
            return {"score": float("-inf")}
        return judge(predict_pixels(job, learner, val, start.preprocess), val)

    loop = Loop(learner, batches, settings, job, evaluate, name)
    return loop.run(keep=lambda score: leave(job, start, {"accuracy": score}).id)


def leave(job: Job, start: Start, metrics: dict[str, Any]) -> Checkpoint:
    """The checkpoint of a learner as it is now; it names the backbone it started from."""
    manifest = manifest_of(job, start.backbone, start.classes, metrics)
    manifest.backbone["hash"] = start.hash
    return job.store.put(manifest, start.learner.state())


def blend(start: dict[str, Tensor], end: dict[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """(1 - alpha) start + alpha end, tensor by tensor on the CPU; whole numbers are those of the end."""
    return {
        name: start[name].cpu() * (1 - alpha) + tensor * alpha if tensor.is_floating_point() else tensor
        for name, tensor in end.items()
    }


def _fresh(job: Job) -> Learner:
    return type(job.method)(job.method.params)


def _joined(splits: Splits) -> Dataset:
    """Train and what was held out of it, together."""
    train, val = splits.train, splits.val
    return replace(train, items=[*train.items, *val.items], skipped=[*train.skipped, *val.skipped])


def _finished(job: Job, classes: list[str]) -> Checkpoint:
    """The fine-tuned checkpoint that is one end of an interpolation. Raises UsageError where it can't be."""
    name = job.recipe.model.checkpoint
    if name is None:
        raise UsageError(
            f"model.checkpoint: {job.recipe.method} needs a finished checkpoint of finetune/full or finetune/lp-ft."
        )
    checkpoint = job.store.checkpoint(name)
    manifest = checkpoint.manifest
    cls = registry.get(manifest.method)
    if not (issubclass(cls, Learner) and cls.whole and manifest.task == job.recipe.task):
        raise UsageError(
            f"model.checkpoint: {checkpoint.id} was made by {manifest.method}, which keeps its backbone; "
            "interpolating needs a checkpoint of finetune/full or finetune/lp-ft."
        )
    if manifest.classes != classes:
        raise UsageError(
            f"model.checkpoint: {checkpoint.id}. {other_classes(checkpoint, classes)}"
            "An interpolation needs the same classes."
        )
    return checkpoint


def other_classes(checkpoint: Checkpoint, classes: list[str]) -> str:
    """A sentence on how the classes of the data differ from those of a checkpoint; empty where they do not."""
    known = checkpoint.manifest.classes
    new, missing = [name for name in classes if name not in known], [name for name in known if name not in classes]
    if new or missing:
        found = f"it does not know {some(new)}" if new else f"the data has no {some(missing)}"
        return f"Its classes are {some(known)}; {found}. "
    return "" if known == classes else f"Its classes come in another order: {some(known)}. "


def _backbone(job: Job, classes: list[str]) -> tuple[Any, Checkpoint | None]:
    """The backbone to start from, and the checkpoint to go on from where its classes are the same."""
    model = job.recipe.model
    if model.checkpoint is None:
        return registry.backbone(model.backbone, home=job.home, image_size=model.image_size), None
    checkpoint = job.store.checkpoint(model.checkpoint)
    described = checkpoint.manifest.backbone
    if job.method.interpolates:  # both ends start from the backbone that the checkpoint started from
        return registry.backbone(described["spec"], home=job.home, image_size=described["image_size"]), None
    same = checkpoint.manifest.classes == classes and checkpoint.manifest.method == job.recipe.method
    if job.recipe.train.epochs == 0 and not same:
        raise UsageError(
            f"model.checkpoint: {checkpoint.id} was made by {checkpoint.manifest.method}. "
            f"{other_classes(checkpoint, classes)}Only the same method and classes can be evaluated; "
            "with train.epochs above 0 its backbone gets a new head."
        )
    again = same and not job.method.whole  # the method lays its own tensors over the original once more
    spec = described["spec"] if again else f"store/{checkpoint.id}"
    backbone = registry.backbone(spec, home=job.home, image_size=model.image_size)
    job.events.note(
        f"Starts from checkpoint {checkpoint.id}"
        + ("." if same else ": its backbone, with a new head for the new classes.")
    )
    return backbone, checkpoint if same else None
