"""Weights between a finished checkpoint and where it started, for Learners that interpolate."""

from torch import Tensor

from adapters.finetune.run.classifier import other_classes, setup_classifier
from adapters.finetune.run.report import report
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import Learner
from studio.core.procedure import Job, Outcome
from studio.data.splits import Splits
from studio.engine.decoded import decode_split, judge, predict_pixels
from studio.engine.process_rank import rank
from studio.engine.session import save_checkpoint
from studio.metrics.expected import INDEPENDENT, SHARED
from studio.store import Checkpoint


def interpolate(job: Job, splits: Splits) -> Outcome:
    """Weights between a checkpoint and its start: each alpha is scored on val, the best is kept."""
    end, learner = _finished(job, splits.train.classes), job.method
    session = setup_classifier(job, learner, splits.train)
    val = decode_split(job, splits.val, session.preprocess, "val")
    first, last = {name: tensor.clone() for name, tensor in learner.state().items()}, end.tensors()
    scores = {}
    for alpha in learner.alphas():
        learner.load_state(blend(first, last, alpha))
        scores[alpha] = judge(predict_pixels(job, learner, val, session.preprocess), val)
    best = max(scores, key=lambda alpha: scores[alpha]["score"])
    rows = [[alpha, round(values["accuracy"], 4), round(values["loss"], 4)] for alpha, values in scores.items()]
    job.table("alpha (0: before, 1: after fine-tuning)", ["alpha", "val accuracy", "val loss"], rows)
    learner.load_state(blend(first, last, best))
    if rank() > 0:
        return Outcome()
    scored = val if splits.test is None else decode_split(job, splits.test, session.preprocess, "test")
    trust = SHARED if splits.test is None else INDEPENDENT
    metrics = report(job, predict_pixels(job, learner, scored, session.preprocess), scored.dataset, trust=trust)
    scored_on = "val" if splits.test is None else "test"
    metrics.update(alpha=best, selection=job.recipe.eval.selection, scored_on=scored_on)
    return Outcome(metrics, save_checkpoint(job, session, metrics).id)


def blend(start: dict[str, Tensor], end: dict[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """(1 - alpha) start + alpha end, tensor by tensor on the CPU; whole numbers are those of the end."""
    return {
        name: start[name].cpu() * (1 - alpha) + tensor * alpha if tensor.is_floating_point() else tensor
        for name, tensor in end.items()
    }


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
