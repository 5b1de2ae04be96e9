"""How a Segmenter is run: decode once, train in the one loop, judge by mIoU, leave a checkpoint that draws masks."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from adapters.segment.base import Segmenter
from adapters.segment.data.batches import MaskBatches
from adapters.segment.data.decoded import MaskedSplit, decode_masked
from adapters.segment.data.splits import resolve_mask_splits
from adapters.segment.run.judging import class_maps, confusions, matrices_of
from adapters.segment.run.predictor import MaskPredictor
from adapters.segment.run.report import only_of, report
from adapters.segment.run.views import Look
from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Procedure
from studio.core.registry import procedure
from studio.data.transforms import normalize
from studio.engine.loop import Progress
from studio.engine.meters import Meter
from studio.engine.restyled import restyle_of
from studio.engine.session import Session, restore, save_checkpoint, setup, to_device, train
from studio.metrics.segmentation import scores_of
from studio.store import Checkpoint


@procedure
class Segmenting(Procedure):
    """Runs and restores every Segmenter."""

    task = "segment"
    face = Segmenter

    def run(self, job: Job) -> Outcome:
        recipe, settings = job.recipe, job.recipe.train
        splits = resolve_mask_splits(recipe.data, settings.seed, job.home)
        for remark in (splits.note, *splits.train.remarks):
            job.events.note(remark)
        only_of(recipe.eval.only, splits.train.classes)
        session = setup_segmenter(job, splits.train.classes)
        look = look_of(job, session)
        val = decode_masked(job, splits.val, look.short, "val", own_size=True)
        test = decode_masked(job, splits.test, look.short, "test", own_size=True) if splits.test is not None else None
        meter, progress = Meter(job.device), Progress()
        if settings.epochs:
            split = decode_masked(job, splits.train, look.short, "train")
            if session.learner.solved:
                session.learner.solve(looks_of(job, split, session))
                meter.images = len(split.images)
            else:
                progress = train_segmenter(job, session, split, val, look)
                meter.images = min(settings.batch_size, len(split.images)) * progress.step
        throughput = meter.read()
        if progress.best is not None and recipe.eval.selection != "last":
            session.learner.load_state(progress.best)
        scored = test or val
        maps = class_maps(job, session, scored, look)
        metrics = report(job, scored, matrices_of(scored, maps), maps, progress.history)
        metrics.update(throughput, selection=rule_of(recipe.eval.selection), scored_on="test" if test else "val")
        if progress.best_epoch > 0 and recipe.eval.selection != "last":
            metrics["best_epoch"] = progress.best_epoch
        return Outcome(metrics, save_checkpoint(job, session, metrics).id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> MaskPredictor:
        manifest, session = checkpoint.manifest, restore(checkpoint, device, home)
        recipe = recipes.stored({"task": manifest.task, **manifest.recipe})
        look = Look.of(recipe.eval, recipe.data.short_side or session.preprocess.image_size)
        return MaskPredictor(session.learner, session.classes, session.preprocess, device, look)


def rule_of(selection: str) -> str:
    """What `auto` is where nothing adapts."""
    return "source-val" if selection == "auto" else selection


def look_of(job: Job, session: Session) -> Look:
    """How the run's images are looked at. Raises UsageError where they would be smaller than a window."""
    side, recipe = session.preprocess.image_size, job.recipe
    short = recipe.data.short_side or side
    if short < side:
        raise UsageError(
            f"data.short_side: {short} pixels are less than a window of this backbone's, {side}; expected as many or "
            "more, or a smaller model.image_size."
        )
    return Look.of(recipe.eval, short)


def looks_of(job: Job, split: MaskedSplit, session: Session) -> Iterator[tuple[Tensor, Tensor]]:
    """Each image of a split, normalised, with its map, on the job's device; as a window where it must have one size."""
    session.learner.train_mode(False)
    side = None if session.learner.any_size else session.preprocess.image_size
    for pixels, mask in zip(split.images, split.maps, strict=True):
        image, truth = torch.from_numpy(pixels), torch.from_numpy(np.ascontiguousarray(mask))
        if side is not None:
            image = functional.resize(image, [side, side], antialias=True)
            truth = functional.resize(truth[None], [side, side], InterpolationMode.NEAREST_EXACT)[0]
        yield normalize(image[None].to(job.device), session.preprocess), truth[None].to(job.device)


def train_segmenter(
    job: Job, session: Session, split: MaskedSplit, val: MaskedSplit, look: Look, name: str = ""
) -> Progress:
    """Trains to the end, judged by mIoU on `val`; `name` tells several trainings of one run apart."""
    seen = split.counts[:, :-1]
    if never := [name for name, count in zip(session.classes, seen.sum(axis=0), strict=True) if not count]:
        job.events.note(f"Never in train, so not learned: {', '.join(never[:10])}.")
    if (seen.sum(axis=0) > 0).sum() < 2:
        raise UsageError(f"data.train: the masks of {split.dataset.spec} show one class only; at least two are needed.")
    session.learner.look_at(torch.from_numpy(seen))
    batches = MaskBatches(split, session.preprocess, job.recipe.train, restyle_of(job))
    plain = replace(look, mirror=False, scales=(1.0,))
    return train(job, session, batches, lambda: _judge(job, session, val, plain), "miou", name)


def _judge(job: Job, session: Session, val: MaskedSplit, look: Look) -> dict[str, float]:
    matrices = confusions(job, session.learner, val, session.preprocess, look)
    scores = scores_of(sum(matrices), job.recipe.eval.absent, only_of(job.recipe.eval.only, session.classes))
    return {"miou": scores.miou, "accuracy": scores.pixel_accuracy, "score": scores.miou}


def setup_segmenter(job: Job, classes: list[str]) -> Session:
    """The network set up on its backbone, on the job's device, ready to train or to be judged."""
    model, settings = job.recipe.model, job.recipe.train
    going_on = job.store.checkpoint(model.checkpoint) if model.checkpoint else None
    spec = going_on.manifest.backbone["spec"] if going_on else model.backbone
    if going_on is not None and going_on.manifest.method != job.recipe.method and not job.method.adapts():
        raise UsageError(
            f"model.checkpoint: {going_on.id} was made by {going_on.manifest.method}, this run is {job.recipe.method}. "
            "Only the same method can go on."
        )
    if settings.epochs == 0:
        _require_same_classes(going_on, classes)
    backbone = registry.backbone(spec, home=job.home, image_size=model.image_size)
    preprocess = replace(backbone.preprocess, squash=True)
    learner: Segmenter = job.method  # type: ignore[assignment]
    session = setup(job, learner, backbone, classes, preprocess)
    if learner.resampled:
        job.events.note(
            f"{backbone.spec} has no maps at some of the strides {', '.join(map(str, learner.strides))}: others of its "
            "maps are brought to these."
        )
    if going_on is not None:
        _go_on(job, learner, going_on, classes)
    to_device(job, session)
    return session


def _require_same_classes(going_on: Checkpoint | None, classes: list[str]) -> None:
    if going_on is None:
        raise UsageError("train.epochs: 0 evaluates only, which needs model.checkpoint to name a checkpoint.")
    if going_on.manifest.classes != classes:
        raise UsageError(
            f"model.checkpoint: {going_on.id} knows {going_on.manifest.classes[:8]}, this data has {classes[:8]}: "
            "train.epochs 0 evaluates only, which needs the same classes."
        )


def _go_on(job: Job, learner: Segmenter, checkpoint: Checkpoint, classes: list[str]) -> None:
    if checkpoint.manifest.classes == classes:
        learner.load_state(checkpoint.tensors())
        job.events.note(f"Starts from checkpoint {checkpoint.id}.")
    else:
        learner.inherit(checkpoint.tensors())
        job.events.note(
            f"Starts from checkpoint {checkpoint.id}; its last layers are made anew for {len(classes)} classes."
        )
