"""How a network is brought from one domain to another: source only first, then adapted, judged without target masks."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from adapters.align.deep.run.collapse import spread
from adapters.segment.data.batches import MaskBatches
from adapters.segment.data.decoded import MaskedSplit, decode_images, decode_masked
from adapters.segment.data.domain_batches import DomainMaskBatches
from adapters.segment.data.domains import resolve_mask_domains
from adapters.segment.domains.base import DomainSegmenter
from adapters.segment.domains.memory import memory_gb
from adapters.segment.domains.run.judging import Judge, Splits, evenly_spaced
from adapters.segment.domains.run.report import show_change
from adapters.segment.procedure import Segmenting, look_of, setup_segmenter, train_segmenter
from adapters.segment.run.judging import Maps, class_maps, matrices_of
from adapters.segment.run.report import only_of, report
from adapters.segment.run.views import Look
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.procedure import Job, Outcome
from studio.core.recipe import Recipe
from studio.core.registry import procedure
from studio.data.domains import Domains
from studio.engine.loop import Progress
from studio.engine.meters import Meter
from studio.engine.restyled import restyle_of
from studio.engine.session import Session, save_checkpoint, train
from studio.metrics.segmentation import scores_of
from studio.store.state import load_state, save_state


@procedure
class AdaptingSegmentation(Segmenting):
    """Runs every DomainSegmenter that trains; its checkpoints are restored as any Segmenter's."""

    face = DomainSegmenter

    def memory_gb(self, recipe: Recipe, home: Home) -> float:
        return memory_gb(recipe)

    def run(self, job: Job) -> Outcome:
        job = with_half_the_minutes(job)
        recipe = job.recipe
        domains = resolve_mask_domains(recipe, job.home)
        for remark in (domains.note, *domains.train.remarks):
            job.events.note(remark)
        only_of(recipe.eval.only, domains.train.classes)
        if recipe.eval.selection == "oracle" and domains.test is None:
            raise UsageError("eval.selection: oracle chooses by the target's masks, and the target has none.")
        session = setup_segmenter(job, domains.train.classes)
        look, learner = look_of(job, session), session.learner
        source, splits = decode_domains(job, domains, look)
        scored = splits.test or splits.val
        learner.starts_solved = start(job, session, source, splits, look)
        before = class_maps(job, session, scored, look) if learner.starts_solved else None
        judge, meter = Judge(job, learner, session.preprocess, look, splits), Meter(job.device)
        progress, kept = Progress(), {}
        if recipe.train.epochs:
            batches = MaskBatches(source, session.preprocess, recipe.train, restyle_of(job))
            pairs = DomainMaskBatches(batches, splits.target)
            progress = train(job, session, pairs, judge.evaluate, "label_free_score")
            meter.images = 2 * pairs.batch_size * progress.step
            kept = keep_chosen(job, session, judge, progress)
        throughput = meter.read()
        now = class_maps(job, session, scored, look)
        metrics = report(job, scored, matrices_of(scored, now), now, progress.history)
        metrics.update(throughput, selection=judge.words, scored_on="test" if splits.test else "val")
        metrics |= kept | label_free(judge, progress.history)
        if before is not None:
            metrics["source_only_miou"] = tell_beside(job, scored, before, now, metrics)
            show_change(job, session, scored, before, now, look)
        return Outcome(metrics, save_checkpoint(job, session, metrics).id)


def with_half_the_minutes(job: Job) -> Job:
    """The job with half of train.minutes for each of its two trainings, where it has two."""
    recipe = job.recipe
    if recipe.train.minutes is None or recipe.model.checkpoint is not None or recipe.train.source_epochs == 0:
        return job
    settings = recipe.train.model_copy(update={"minutes": recipe.train.minutes / 2})
    return replace(job, recipe=recipe.model_copy(update={"train": settings}))


def decode_domains(job: Job, domains: Domains, look: Look) -> tuple[MaskedSplit, Splits]:
    """The source's training images, and what is looked at."""
    source = decode_masked(job, domains.train, look.short, "the source")
    val = domains.val if domains.test is None else domains.val.subset(evenly_spaced(len(domains.val)))
    val = decode_masked(job, val, look.short, "the source's validation", own_size=True)
    target = decode_images(job, domains.target, look.short, "the target")
    test = None
    if domains.test is not None:
        test = decode_masked(job, domains.test, look.short, "what is scored", own_size=True)
    return source, Splits(val, target, test, spread(source.counts[:, :-1].sum(axis=0)))


def start(job: Job, session: Session, split: MaskedSplit, splits: Splits, look: Look) -> bool:
    """Leaves the source-only network in the learner: that of `model.checkpoint`, or trained here on the source alone.

    False where train.source_epochs is 0: then it starts from the backbone. A resumed run finds what it had trained.
    """
    recipe, learner = job.recipe, session.learner
    learner.look_at(torch.from_numpy(split.counts[:, :-1]))
    if recipe.model.checkpoint is not None:
        return True
    epochs = recipe.train.epochs if recipe.train.source_epochs is None else recipe.train.source_epochs
    if epochs == 0:
        return False
    done = job.folder / "state" / "source-only done"
    state = load_state(done) if job.resume else None
    if state is None:
        state = _source_only(job, session, split, splits, look, epochs)
        save_state(done, state)
    learner.load_state(state)
    return True


def _source_only(
    job: Job, session: Session, split: MaskedSplit, splits: Splits, look: Look, epochs: int
) -> dict[str, torch.Tensor]:
    """The weights of the network trained on the source alone, of the epoch that is best on the source's validation."""
    network = session.learner.network
    changes: dict[str, Any] = {"epochs": epochs}
    if job.recipe.train.needs_references:
        changes["restyle"] = "none"  # the target's look is none of the source's
    recipe = job.recipe.model_copy(update={"train": job.recipe.train.model_copy(update=changes)})
    alone = replace(job, recipe=recipe)
    progress = train_segmenter(alone, replace(session, learner=network), split, splits.val, look, "source-only")
    if progress.best is not None and recipe.eval.selection != "last":
        return progress.best
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state().items()}


def keep_chosen(job: Job, session: Session, judge: Judge, progress: Progress) -> dict[str, Any]:
    """Leaves the weights that the rule chose in the learner; which these are, as metrics."""
    if judge.rule == "last":
        return {"best_epoch": progress.history[-1]["epoch"] if progress.history else 0}
    if progress.best is None:
        job.events.warning("No epoch was good: the target's predictions stayed in few classes. The last is kept.")
        return {}
    session.learner.load_state(progress.best)
    if progress.best_epoch == 0 and session.learner.starts_solved:
        job.events.note(
            f"No epoch was better than source only by the rule ({judge.words}): the source-only network is kept."
        )
    return {"best_epoch": progress.best_epoch, "kept": "method" if progress.best_epoch else "source only"}


def label_free(judge: Judge, history: list[dict[str, float]]) -> dict[str, Any]:
    """The label-free score of what is kept, beside that of source only (epoch 0), and its mIoU on the source."""
    score, numbers = judge.job.recipe.eval.score, judge.label_free()
    now = {"label_free_score": numbers[score], "target_classes": numbers["target_classes"]}
    now["source_miou"] = judge.miou(judge.val)
    first = history[0] if history else {"epoch": 1}
    return now | ({"source_only_label_free_score": first[score]} if first["epoch"] == 0 else {})


def tell_beside(job: Job, scored: MaskedSplit, before: Maps, now: Maps, metrics: dict[str, Any]) -> float:
    """The mIoU of source only; the table of classes before and after, and a warning where adapting has hurt."""
    settings, classes = job.recipe.eval, scored.dataset.classes
    scores = [
        scores_of(sum(matrices_of(scored, maps)), settings.absent, only_of(settings.only, classes))
        for maps in (before, now)
    ]
    rows = [
        [name, *(None if np.isnan(value) else round(float(value), 4) for value in (*pair, pair[1] - pair[0]))]
        for name, *pair in zip(classes, scores[0].iou, scores[1].iou, strict=True)
    ]
    job.table("source only and adapted", ["class", "source only", "adapted", "gain"], rows)
    plain, adapted = scores[0].miou, metrics["miou"]
    if metrics["scored_on"] == "test" and adapted is not None and adapted < plain:
        job.events.warning(
            f"Negative transfer, measured on target masks: adapted {adapted:.3f}, source only {plain:.3f}. The masks "
            "chose nothing."
        )
    return round(float(plain), 6)
