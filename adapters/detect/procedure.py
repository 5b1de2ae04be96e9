"""How a Detector is run: decode once, train in the one loop, judge by AP, leave a checkpoint that draws."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image

from adapters.detect.classes import said_of_kept
from adapters.detect.data.batches import BoxBatches, DomainBatches, input_side
from adapters.detect.data.domains import resolve_box_domains
from adapters.detect.data.splits import resolve_box_splits
from adapters.detect.data.transforms import scaled
from adapters.detect.face import Detector
from adapters.detect.run.predictor import BoxPredictor
from adapters.detect.run.report import report, show_queries
from adapters.detect.run.views import TTA, Ensemble, joined, stacked, views_of
from adapters.detect.task import DetectEval
from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Procedure
from studio.core.registry import procedure
from studio.data import Dataset
from studio.data.boxes import Boxes, Detections
from studio.data.domains import Domains, ids_of_several
from studio.data.files.images import read_image, upright
from studio.data.preprocess import Preprocess
from studio.data.splits import Splits
from studio.data.transforms import to_input
from studio.engine.decoded import Decoded, decode_split
from studio.engine.loop import Batches, Progress
from studio.engine.meters import Meter
from studio.engine.restyled import restyle_of
from studio.engine.session import Session, restore, save_checkpoint, setup, to_device, train
from studio.metrics.detection import best_threshold, coco_ap
from studio.store import Checkpoint

FEW_STEPS = 20  # of an epoch, at least, where data.shots leaves few images
BATCH = 8  # images looked at together when judging
PLAIN = TTA()


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
            replace(truth, xyxy=scaled(truth.xyxy, size, self.side))
            for truth, size in zip(self.truths, self.sizes, strict=True)
        ]


@procedure
class Detecting(Procedure):
    """Runs and restores every Detector."""

    task = "detect"
    face = Detector

    def run(self, job: Job) -> Outcome:
        recipe, settings = job.recipe, job.recipe.train
        adapting = job.method.adapts()
        resolve = resolve_box_domains if adapting else resolve_box_splits
        splits = resolve(recipe.data, settings.seed, job.home)
        for remark in (splits.note, *splits.train.remarks):
            job.events.note(remark)
        session = setup_detector(job, splits.train.classes)
        learner, preprocess = session.learner, session.preprocess
        val = decoded_split(job, splits.val, preprocess, "val")
        test = decoded_split(job, splits.test, preprocess, "test") if splits.test is not None else None
        before = _before(job, session, test) if adapting and recipe.model.checkpoint and test else {}
        meter, progress = Meter(job.device), Progress()
        if settings.epochs:
            batches = batches_of(job, splits, preprocess)
            oracle = recipe.eval.selection == "oracle" and test is not None
            progress = train_detector(job, session, batches, test if oracle else val)
            meter.images = batches.batch_size * progress.step
        throughput = meter.read()
        if progress.best is not None and recipe.eval.selection != "last":
            learner.load_state(progress.best)
        scored = test or val
        val_detections = predict_with_tta(job, session, val)
        threshold = best_threshold(val.truths, val_detections, len(session.classes))
        detections = predict_with_tta(job, session, scored) if test else val_detections
        show_queries(job, learner, val.decoded, preprocess)
        metrics = report(
            job, scored.decoded.dataset, scored.truths, detections, threshold, progress.history, session.before
        )
        metrics.update(throughput, **before, selection=recipe.eval.selection, scored_on="test" if test else "val")
        metrics["score_threshold"] = round(threshold, 4)
        if progress.best_epoch > 0 and recipe.eval.selection != "last":
            metrics["best_epoch"] = progress.best_epoch
        return Outcome(metrics, save_checkpoint(job, session, metrics).id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> BoxPredictor:
        manifest, session = checkpoint.manifest, restore(checkpoint, device, home)
        threshold = manifest.metrics.get("score_threshold", 0.5)
        settings = recipes.stored({"task": manifest.task, **manifest.recipe}).eval
        alone = DetectorPredictor(
            session.learner, session.classes, session.preprocess, device, threshold, TTA.of(settings)
        )
        return ensemble_of(alone, settings, device, home, store)


def batches_of(job: Job, splits: Splits | Domains, preprocess: Preprocess) -> BoxBatches | DomainBatches:
    """Batches of train, beside those of the target where there is one."""
    train = decoded_split(job, splits.train, preprocess, "train")
    source = box_batches(job, train, preprocess)
    if isinstance(splits, Splits):
        return source
    target = decode_split(job, splits.target, preprocess, "target")
    return DomainBatches(source, target.pixels, ids_of_several(target.dataset.items))


def box_batches(job: Job, train: Split, preprocess: Preprocess) -> BoxBatches:
    """Batches of one decoded split; with few shots an epoch is not over after a step or two."""
    least = FEW_STEPS if job.recipe.data.shots else 1
    domains = ids_of_several(train.decoded.dataset.items)
    return BoxBatches(train.decoded.pixels, train.inputs, preprocess, job.recipe.train, least, domains, restyle_of(job))


def ensemble_of(alone: BoxPredictor, settings: DetectEval, device: str, home: Home, store: Any) -> BoxPredictor:
    """A predictor with those of `eval.ensemble`, or itself where there are none.

    Raises UsageError for a checkpoint that is missing, finds no boxes, or knows other classes.
    """
    members = [alone]
    for name in settings.ensemble:
        other = store.checkpoint(name)
        if other.manifest.task != Detecting.task:
            raise UsageError(f"eval.ensemble: {other.id} was made by {other.manifest.method}, which finds no boxes.")
        procedure = registry.procedure_for(registry.get(other.manifest.method))
        members.append(procedure.restore(other, device, home, store))
    return Ensemble(members, TTA.of(settings), alone.threshold) if len(members) > 1 else alone


class DetectorPredictor(BoxPredictor):
    """A trained Detector, ready to look at photos."""

    def __init__(
        self, learner: Detector, classes: list[str], preprocess: Preprocess, device: str, threshold: float,
        tta: TTA = PLAIN,
    ) -> None:  # fmt: skip
        self.learner, self.classes, self.preprocess, self.device = learner, classes, preprocess, device
        self.threshold, self.tta = threshold, tta
        learner.train_mode(False)

    def boxes(self, images: list[Image.Image]) -> list[Detections]:
        sizes = [image.size for image in images]
        answers = []
        with torch.inference_mode():
            for view in views_of(self.learner, self.preprocess, self.tta):
                batch = torch.stack([to_input(image, view.preprocess) for image in images]).to(self.device)
                answers.append(view.find(batch, sizes))
        return joined(answers, self.tta)


def predict_split(
    job: Job, learner: Detector, split: Split, preprocess: Preprocess, tta: TTA = PLAIN
) -> list[Detections]:
    """What the detector finds in a split, in pixels of the images."""
    learner.train_mode(False)
    answers = []
    for view in views_of(learner, preprocess, tta):
        side = view.preprocess.image_size
        name = f"{split.decoded.dataset.spec} at {side} pixels"
        same = side == split.side
        decoded = split.decoded if same else decode_split(job, split.decoded.dataset, view.preprocess, name)
        detections: list[Detections] = []
        with torch.inference_mode():
            for start in range(0, len(split.truths), BATCH):
                rows = slice(start, start + BATCH)
                detections += view.find(stacked(decoded.pixels[rows], job.device), split.sizes[rows])
        answers.append(detections)
    return joined(answers, tta)


def predict_with_tta(job: Job, session: Session, split: Split) -> list[Detections]:
    """What is found in a split in every way that `eval` asks for: by this detector, and by those beside it."""
    settings = job.recipe.eval
    tta = TTA.of(settings)
    if not settings.ensemble:
        return predict_split(job, session.learner, split, session.preprocess, tta)
    alone = DetectorPredictor(session.learner, session.classes, session.preprocess, job.device, 0.5, tta)
    together = ensemble_of(alone, settings, job.device, job.home, job.store)
    items, detections = split.decoded.dataset.items, list[Detections]()
    for first in range(0, len(items), BATCH):
        detections += together.boxes([read_image(item.source, item.name) for item in items[first : first + BATCH]])
        job.events.progress("looking together", min(first + BATCH, len(items)), len(items))
    return detections


def train_detector(job: Job, session: Session, batches: Batches, val: Split, name: str = "") -> Progress:
    """Trains to the end, judged by AP on `val`; `name` tells several trainings of one run apart."""
    return train(job, session, batches, lambda: _judge(job, session, val), "map", name)


def _before(job: Job, session: Session, test: Split) -> dict[str, float]:
    """What the detector finds in the target before it is adapted, beside which the run is read."""
    numbers = coco_ap(test.truths, predict_split(job, session.learner, test, session.preprocess), session.classes)
    return {f"source_only_{name}": numbers[name] or 0.0 for name in ("map", "map_50")}


def _judge(job: Job, session: Session, val: Split) -> dict[str, float]:
    detections = predict_split(job, session.learner, val, session.preprocess)
    numbers = coco_ap(val.truths, detections, session.classes)
    scores = {name: numbers[name] or 0.0 for name in ("map", "map_50")}
    return {**scores, "score": scores["map"]}


def decoded_split(job: Job, dataset: Dataset, preprocess: Preprocess, what: str) -> Split:
    decoded = decode_split(job, dataset, preprocess, what)
    truths, sizes = [], []
    for item in decoded.dataset.items:
        assert item.boxes is not None  # resolve_box_splits has seen to it
        truths.append(item.boxes)
        sizes.append(upright(item.source, item.name)[0])
    return Split(decoded, truths, sizes, preprocess.image_size)


def setup_detector(job: Job, classes: list[str]) -> Session:
    """The detector set up on its backbone, on the job's device, ready to train or to be judged."""
    model, settings = job.recipe.model, job.recipe.train
    going_on = job.store.checkpoint(model.checkpoint) if model.checkpoint else None
    spec = model.backbone
    if going_on is not None:
        made = going_on.manifest
        spec = made.backbone["spec"]
        if made.method != job.recipe.method and not job.method.adapts():
            raise UsageError(
                f"model.checkpoint: {going_on.id} was made by {made.method}, this run is {job.recipe.method}. Only the "
                "same method can go on."
            )
        if settings.epochs == 0 and made.classes != classes:
            raise UsageError(
                f"model.checkpoint: {going_on.id} finds {made.classes[:8]}, this data has {classes[:8]}: "
                "train.epochs 0 evaluates only, which needs the same classes."
            )
    elif settings.epochs == 0:
        raise UsageError("train.epochs: 0 evaluates only, which needs model.checkpoint to name a checkpoint.")
    backbone = registry.backbone(spec, home=job.home, image_size=model.image_size)
    preprocess = Preprocess.from_dict({**backbone.preprocess.to_dict(), "squash": True})
    learner: Detector = job.method  # type: ignore[assignment]
    session = setup(job, learner, backbone, classes, preprocess)
    if settings.multi_scale:
        learner.require_side(input_side(preprocess.image_size, 1 - settings.multi_scale), "train.multi_scale")
    views_of(learner, preprocess, TTA.of(job.recipe.eval))  # refuses what does not fit before anything is trained
    if going_on is not None:
        session.before = _go_on(job, learner, going_on, classes)
    elif learner.pretrained_classes is None and learner.needs_start:
        raise UsageError(
            f"params.heads_only: {backbone.spec} is a backbone alone, on which no detector was trained yet. Name a "
            "trained one in model.checkpoint, or a detector that is pretrained as a whole in model.backbone."
        )
    elif learner.pretrained_classes is not None:
        session.before = learner.pretrained_classes
        job.events.note(said_of_kept(backbone.spec, learner.pretrained_classes, classes))
    to_device(job, session)
    return session


def _go_on(job: Job, learner: Detector, checkpoint: Checkpoint, classes: list[str]) -> list[str] | None:
    """Gives the learner the tensors of a checkpoint; where that has other classes, the heads' as far as they match.

    Returns the classes it knew, None where they are the same.
    """
    before, state = checkpoint.manifest.classes, checkpoint.tensors()
    if before == classes and state.keys() == learner.state().keys():
        learner.load_state(state)
    else:
        known = learner.inherit(state, before, classes)
        if before != classes:
            job.events.note(said_of_kept(checkpoint.id, known, classes))
            return known
    job.events.note(f"Starts from checkpoint {checkpoint.id}.")
    return None
