"""How a Translator is run: decode both looks, train in the one loop, judge on held-out images, leave a checkpoint."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.translate.base import Translator
from adapters.translate.data.batches import LookBatches, PairBatches
from adapters.translate.data.decoded import Looks, decode_looks
from adapters.translate.data.splits import Sides, resolve_sides
from adapters.translate.films.clips import ClipBatches
from adapters.translate.memory import memory_gb
from adapters.translate.run.collapse import CollapseWatch
from adapters.translate.run.features import Features
from adapters.translate.run.gallery import show_samples
from adapters.translate.run.judging import Judge, translate_all
from adapters.translate.run.predictor import ImageTranslator
from adapters.translate.run.report import report
from adapters.translate.run.views import View
from adapters.translate.task import IMAGE_SIZE
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Procedure
from studio.core.recipe import Recipe
from studio.core.registry import procedure
from studio.data.preprocess import Preprocess
from studio.engine.loop import Progress, Selection
from studio.engine.meters import Meter
from studio.engine.session import Session, restore, save_checkpoint, setup, train
from studio.store import Checkpoint

SIGNED = (0.5, 0.5, 0.5)  # mean and deviation that bring 0..1 to -1..1
SELECTIONS = {
    "kid": Selection("kid", lower=True),
    "psnr": Selection("psnr"),
    "last": Selection("kid", lower=True, last=True),
}


@dataclass
class Data:
    """Both looks in memory, as they are learned from, and what judges: `held` beside `wanted`."""

    source: Looks
    target: Looks
    held: Looks
    wanted: list[np.ndarray]


@procedure
class Translating(Procedure):
    """Runs and restores every Translator."""

    task = "translate"
    face = Translator

    def memory_gb(self, recipe: Recipe, home: Home) -> float:
        return memory_gb(recipe)

    def run(self, job: Job) -> Outcome:
        recipe, settings = job.recipe, job.recipe.train
        sides = resolve_sides(recipe.data, settings.seed, job.home)
        for remark in (sides.note, *sides.source.remarks, *sides.target.remarks):
            job.events.note(remark)
        session = setup_translator(job)
        view = View.of(recipe.eval, recipe.data, session.preprocess.image_size)
        data = decode_sides(job, sides, session.preprocess.image_size, view)
        features, meter, progress = Features.of(job), Meter(job.device), Progress()
        if settings.epochs:
            progress = train_translator(job, session, data, view, features)
            meter.images = min(settings.batch_size, len(data.source)) * progress.step
        throughput = meter.read()
        if progress.best is not None and recipe.eval.selection != "last":
            session.learner.load_state(progress.best)
        test = decode_looks(job, sides.test, view.short, "test") if sides.test is not None else None
        judge = Judge(data.held, data.wanted, features)
        if test is not None:
            test = turned(test) if view.backward else test
            judge = Judge(test, test.pairs, features)
        outputs = translate_all(session.learner, judge.held, view, job.device)
        learned = data.source if view.backward else data.target
        metrics = report(job, judge, outputs, learned.images, progress.history)
        metrics.update(throughput, selection=recipe.eval.selection, scored_on="held-out" if test is None else "test")
        if progress.best_epoch > 0 and recipe.eval.selection != "last":
            metrics["best_epoch"] = progress.best_epoch
        return Outcome(metrics, save_checkpoint(job, session, metrics).id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> ImageTranslator:
        manifest, session = checkpoint.manifest, restore(checkpoint, device, home)
        recipe = recipes.stored({"task": manifest.task, **manifest.recipe})
        view = View.of(recipe.eval, recipe.data, session.preprocess.image_size)
        if view.backward and not session.learner.both_ways:
            raise UsageError(f"direction: {manifest.method} learns one way only; expected forward.")
        return ImageTranslator(session.learner, device, view)


def setup_translator(job: Job) -> Session:
    """The networks set up, on the job's device, ready to train or to be judged."""
    model, learner = job.recipe.model, job.method
    preprocess = Preprocess(model.image_size or IMAGE_SIZE, 1.0, "bicubic", SIGNED, SIGNED)
    going_on = job.store.checkpoint(model.checkpoint) if model.checkpoint else None
    if going_on is None and job.recipe.train.epochs == 0:
        raise UsageError("train.epochs: 0 evaluates only, which needs model.checkpoint to name a checkpoint.")
    if going_on is not None and going_on.manifest.method != job.recipe.method:
        raise UsageError(
            f"model.checkpoint: {going_on.id} was made by {going_on.manifest.method}, this run is {job.recipe.method}. "
            "Only the same method can go on."
        )
    session = setup(job, learner, None, [], preprocess)
    if going_on is not None:
        learner.load_state(going_on.tensors())
        job.events.note(f"Starts from the generator of checkpoint {going_on.id}; discriminators begin anew.")
    learner.module.to(job.device)  # instance normalisation gains nothing from channels last
    return session


def decode_sides(job: Job, sides: Sides, side: int, view: View) -> Data:
    """All images that are learned from and judged by."""
    short, most = job.recipe.data.short_side or side, job.recipe.eval.images
    source = decode_looks(job, sides.source, short, "source")
    paired = bool(source.pairs)
    target = Looks(source.pairs, source.dataset) if paired else decode_looks(job, sides.target, short, "target")
    held = decode_looks(job, sides.held_source, view.short, "held-out source").first(most)
    if held.pairs:
        wanted = Looks(held.pairs, held.dataset)
    else:
        wanted = decode_looks(job, sides.held_target, view.short, "held-out target").first(most)
    if view.backward:
        held, wanted = (turned(held) if held.pairs else wanted), held
    return Data(source, target, held, wanted.images)


def turned(looks: Looks) -> Looks:
    """Pairs the other way round."""
    return Looks(looks.pairs, looks.dataset, looks.images)


def train_translator(job: Job, session: Session, data: Data, view: View, features: Features) -> Progress:
    """Trains to the end; every epoch is judged on the held-out images and shown in the gallery."""
    learner, side, settings = session.learner, session.preprocess.image_size, job.recipe.train
    if learner.paired:
        batches: Any = PairBatches(data.source, side, settings)
    elif learner.clips:
        batches = ClipBatches(data.source, data.target, side, settings)
    else:
        batches = LookBatches(data.source, data.target, side, settings)
    judge, watch = Judge(data.held, data.wanted, features), CollapseWatch(job)

    def evaluate() -> dict[str, float]:
        outputs = translate_all(learner, data.held, view, job.device)
        scores = judge(outputs)
        epoch, epochs = (-(-steps // batches.steps_per_epoch) for steps in (learner.stands.step, learner.stands.total))
        if epoch:  # before the first step the loop only times this
            show_samples(job, data.held, outputs, epoch, epochs)
            watch.look(scores.diversity, epoch)
        return scores.to_dict()

    selection = SELECTIONS[job.recipe.eval.selection]
    return train(job, session, batches, evaluate, selection.name, selection=selection)
