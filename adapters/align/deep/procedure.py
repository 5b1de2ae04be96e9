"""How a deep alignment runs: both domains decoded once, source only beside, trained in the one loop, judged unseen."""

from typing import Any

from adapters.align.deep.base import DeepLearner, DeepParams
from adapters.align.deep.run.domains import Domains, resolve_domains
from adapters.align.deep.run.judging import Judge, Look, Splits
from adapters.align.deep.run.online import OnlinePredictor, adapt_online
from adapters.align.deep.run.preparing import batches_for, checkpoint_of, decode_domains, setup_aligner
from adapters.align.deep.run.report import distances, on_target, show
from adapters.align.deep.source_only import SourceOnly
from adapters.align.task import AlignTrain
from adapters.finetune.procedure import LearnerPredictor
from studio.core.errors import UsageError
from studio.core.faces import Learner
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.registry import procedure
from studio.engine.meters import Meter
from studio.engine.session import restore, save_checkpoint, train
from studio.store import Checkpoint
from studio.store.state import load_state, save_state

Looks = dict[str, Look]


@procedure
class DeepAlignment(Procedure):
    """Runs and restores every Learner of task align."""

    task = "align"
    face = Learner

    def run(self, job: Job) -> Outcome:
        learner: DeepLearner = job.method  # type: ignore[assignment]
        recipe, checkpoint = job.recipe, checkpoint_of(job)
        known = checkpoint.manifest.classes if checkpoint is not None else None
        domains = resolve_domains(recipe, type(learner), known, job.home)
        job.events.note(domains.note)
        if recipe.eval.selection == "oracle" and domains.test is None:
            raise UsageError("eval.selection: oracle chooses by target labels, and the target has none.")
        session = setup_aligner(job, learner, domains, checkpoint)
        splits = decode_domains(job, domains, session.preprocess)
        if learner.online:
            return adapt_online(job, session, splits)
        if recipe.train.epochs == 0 and checkpoint is None:
            raise UsageError("train.epochs: 0 evaluates only, which needs model.checkpoint to name a checkpoint.")
        plain = None if checkpoint is not None else _source_only(job, domains, splits)
        judge = Judge(job, learner, session.preprocess, splits, len(session.classes))
        before = _looks(judge if plain is None else plain, splits) if checkpoint or plain else None
        batches = batches_for(job, learner, domains, splits, session.preprocess)
        meter = Meter(job.device)
        progress = train(job, session, batches, judge.evaluate, "label_free_score")
        meter.images = batches.batch_size * len(learner.streams) * progress.step
        metrics = {**meter.read(), "selection": judge.words, "best_epoch": progress.best_epoch}
        if progress.best is not None:
            learner.load_state(progress.best)
        elif progress.history:
            job.events.warning("No epoch was good: the target's predictions stayed in few classes. The last is kept.")
        now = _looks(judge, splits)
        metrics |= _numbers(job, judge, plain, now, before, len(domains.classes))
        show(job, splits, session.classes, progress.history, metrics, now, before, learner.title)
        return Outcome(metrics, save_checkpoint(job, session, metrics).id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> Predictor:
        session = restore(checkpoint, device, home)
        if session.learner.online:
            lr = checkpoint.manifest.recipe.get("train", {}).get("lr", AlignTrain().lr)
            return OnlinePredictor(session.learner, session.classes, session.preprocess, device, lr)
        return LearnerPredictor(session.learner, session.classes, session.preprocess, device)


def _source_only(job: Job, domains: Domains, splits: Splits) -> Judge | None:
    """The judge of the same network trained on the source alone; None where it is not wanted, or is the run itself."""
    method: DeepLearner = job.method  # type: ignore[assignment]
    if isinstance(method, SourceOnly) or not job.recipe.eval.source_only:
        return None
    shared = {name: getattr(method.params, name) for name in DeepParams.model_fields}
    learner = SourceOnly(SourceOnly.Params(**shared))
    session = setup_aligner(job, learner, domains)
    judge = Judge(job, learner, session.preprocess, splits, len(domains.classes), "source-only")
    done = job.folder / "state" / "source-only done"
    if job.resume and (state := load_state(done)) is not None:
        learner.load_state(state)
        return judge
    batches = batches_for(job, learner, domains, splits, session.preprocess)
    progress = train(job, session, batches, judge.evaluate, "label_free_score", "source-only")
    if progress.best is not None:
        learner.load_state(progress.best)
    save_state(done, {name: tensor.cpu() for name, tensor in learner.state().items()})
    return judge


def _looks(judge: Judge, splits: Splits) -> Looks:
    """A network's looks at the source's validation images, the target, and what is scored."""
    parts = {"val": splits.val, "target": splits.target, "test": None if splits.same else splits.test}
    looks = {name: judge.look(part) for name, part in parts.items() if part is not None}
    return {"test": looks["target"], **looks} if splits.test is not None else looks


def _numbers(
    job: Job, judge: Judge, plain: Judge | None, now: Looks, before: Looks | None, known: int
) -> dict[str, Any]:
    """Numbers of the target, where it has labels, of the source, and those that need no label, beside source only's."""
    numbers = on_target(now, judge.splits, known) | distances(job, now, before)
    numbers["label_free_score"] = judge.label_free()
    if judge.splits.val is not None:
        numbers["source_accuracy"] = judge.source_accuracy()
    if plain is not None:
        numbers["source_only_label_free_score"] = plain.label_free()
    if before is not None:
        numbers["source_only_accuracy"] = on_target(before, judge.splits, known)["target_accuracy"]
        _warn_of_harm(job, judge.learner.title, numbers)
    return numbers


def _warn_of_harm(job: Job, title: str, metrics: dict[str, Any]) -> None:
    own, bare = metrics["target_accuracy"], metrics["source_only_accuracy"]
    if own is not None and bare is not None and own < bare:
        job.events.warning(
            f"Negative transfer, measured on target labels: {title} {own:.3f}, source only {bare:.3f}. "
            "The labels chose nothing."
        )
