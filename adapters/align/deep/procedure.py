"""How a deep alignment runs: both domains decoded once, source only beside, trained in the one loop, judged unseen."""

from dataclasses import dataclass, replace
from typing import Any

from adapters.align.deep.base import DeepLearner, DeepParams
from adapters.align.deep.run.domains import Domains, resolve_domains
from adapters.align.deep.run.film import show_film
from adapters.align.deep.run.judging import Judge, Splits
from adapters.align.deep.run.memory import in_words, training_gb
from adapters.align.deep.run.online import OnlinePredictor, adapt_online
from adapters.align.deep.run.preparing import checkpoint_of, decode_domains, require_classifier, setup_aligner
from adapters.align.deep.run.report import distances, on_target, show
from adapters.align.deep.run.training import Looks, looks_of, train_aligner
from adapters.align.deep.source_only import SourceOnly
from adapters.align.fallback import Comparison, prefers_source_only, tell_of_kept
from adapters.align.task import AlignTrain
from adapters.finetune.procedure import LearnerPredictor
from studio.core.errors import UsageError
from studio.core.faces import Learner
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.recipe import Recipe
from studio.core.registry import procedure
from studio.engine.session import Session, restore, save_checkpoint
from studio.store import Checkpoint
from studio.store.state import load_state, save_state


@procedure
class DeepAlignment(Procedure):
    """Runs and restores every Learner of task align."""

    task = "align"
    face = Learner

    def memory_gb(self, recipe: Recipe, home: Home) -> float:
        return training_gb(recipe, recipe.method_class(), home)  # type: ignore[arg-type]

    def run(self, job: Job) -> Outcome:
        learner: DeepLearner = job.method  # type: ignore[assignment]
        recipe, checkpoint = job.recipe, checkpoint_of(job)
        known = checkpoint.manifest.classes if checkpoint is not None else None
        domains = resolve_domains(recipe, type(learner), known, job.home)
        job.events.note(domains.note)
        job.events.note(in_words(self.memory_gb(recipe, job.home)))
        if recipe.eval.selection == "oracle" and domains.test is None:
            raise UsageError("eval.selection: oracle chooses by target labels, and the target has none.")
        session = setup_aligner(job, learner, domains, checkpoint)
        splits = decode_domains(job, domains, session.preprocess)
        if learner.online:
            return adapt_online(job, session, splits)
        if recipe.train.epochs == 0 and checkpoint is None:
            raise UsageError("train.epochs: 0 evaluates only, which needs model.checkpoint to name a checkpoint.")
        plain = None if checkpoint is not None else _source_only(job, domains, splits)
        if plain is not None:
            before = looks_of(plain.judge, splits)
        else:
            start = Judge(job, learner, session.preprocess, splits, len(session.classes))
            before = looks_of(start, splits) if checkpoint is not None else None
        trained = train_aligner(job, session, domains, splits)
        judge, progress = trained.judge, trained.progress
        metrics = {**trained.cost, "selection": judge.words, "best_epoch": progress.best_epoch}
        now = looks_of(judge, splits)
        metrics |= _numbers(job, judge, now, before, len(domains.classes))
        kept = _kept(job, judge, session, plain, metrics)
        show(job, splits, session.classes, progress.history, metrics, now, before, learner.title)
        if judge.maps is not None:
            show_film(job, judge, session.classes, before)
        return Outcome(metrics, _checkpoint(job, kept, metrics))

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> Predictor:
        session = restore(checkpoint, device, home)
        if session.learner.online:
            lr = checkpoint.manifest.recipe.get("train", {}).get("lr", AlignTrain().lr)
            return OnlinePredictor(session.learner, session.classes, session.preprocess, device, lr)
        return LearnerPredictor(session.learner, session.classes, session.preprocess, device)

    def adapting(self, checkpoint: Checkpoint, cls: type[DeepLearner], device: str, home: Home) -> Predictor:
        """Any whole classifier, as one that adapts while it answers by `cls`. Raises UsageError for what is none."""
        require_classifier(checkpoint, f"adapt: {cls.id}")
        params = {"bottleneck": checkpoint.manifest.params.get("bottleneck", 0)}
        return self.restore(checkpoint.with_method(cls.id, params), device, home, None)


@dataclass
class SourceOnlyRun:
    """The same network trained on the source alone, and its judge."""

    session: Session
    judge: Judge


def _source_only(job: Job, domains: Domains, splits: Splits) -> SourceOnlyRun | None:
    """None where it is not wanted, or is the run itself."""
    method: DeepLearner = job.method  # type: ignore[assignment]
    if isinstance(method, SourceOnly) or not job.recipe.eval.source_only:
        return None
    shared = {name: getattr(method.params, name) for name in DeepParams.model_fields}
    learner = SourceOnly(SourceOnly.Params(**shared))
    session = setup_aligner(job, learner, domains)
    name = "source-only"
    done = job.folder / "state" / f"{name} done"
    if job.resume and (state := load_state(done)) is not None:
        learner.load_state(state)
        judge = Judge(job, learner, session.preprocess, splits, len(domains.classes), name)
        return SourceOnlyRun(session, judge)
    judge = train_aligner(job, session, domains, splits, name).judge
    save_state(done, {name: tensor.cpu() for name, tensor in learner.state().items()})
    return SourceOnlyRun(session, judge)


def _numbers(job: Job, judge: Judge, now: Looks, before: Looks | None, known: int) -> dict[str, Any]:
    """Numbers of the target, where it has labels, of the source, and those that need no label."""
    numbers = on_target(now, judge.splits, known) | distances(job, now, before)
    numbers["label_free_score"] = judge.label_free()
    if judge.splits.val is not None:
        numbers["source_accuracy"] = judge.source_accuracy()
    if before is not None:
        numbers["source_only_accuracy"] = on_target(before, judge.splits, known)["target_accuracy"]
    return numbers


def _kept(job: Job, judge: Judge, session: Session, plain: SourceOnlyRun | None, metrics: dict[str, Any]) -> Session:
    """What the checkpoint holds: source only where eval.fallback asks for it and the label-free score prefers it."""
    title, instead = judge.learner.title, False
    if plain is not None:
        comparison = Comparison(plain.judge.score, metrics["label_free_score"], plain.judge.label_free())
        instead = prefers_source_only(job, comparison, title, metrics)
    if "source_only_accuracy" in metrics:
        tell_of_kept(job, title, instead, metrics)
    return plain.session if instead else session  # type: ignore[union-attr]


def _checkpoint(job: Job, session: Session, metrics: dict[str, Any]) -> str:
    """Stored under the name of what it is; its number is its own."""
    recipe = job.recipe.model_copy(update={"method": session.learner.id})
    about = {**metrics, "target_accuracy": metrics.get("kept_accuracy", metrics["target_accuracy"])}
    return save_checkpoint(replace(job, recipe=recipe, method=session.learner), session, about).id
