"""The deep cells of a table: one training each, source-free ones from the source-only checkpoint of the same seed."""

from dataclasses import replace
from shutil import rmtree
from typing import Any

from adapters.align.deep.base import DeepLearner
from adapters.align.deep.run.domains import Domains, resolve_domains
from adapters.align.deep.run.judging import Look, Splits
from adapters.align.deep.run.online import answer_stream
from adapters.align.deep.run.preparing import checkpoint_of, decode_domains, setup_aligner
from adapters.align.deep.run.report import on_target
from adapters.align.deep.run.training import looks_of, train_aligner
from adapters.align.task import AlignData
from adapters.tables.cells import Cell, Key
from adapters.tables.settings import params_of
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.procedure import Job
from studio.engine.session import Session, save_checkpoint

PLAIN = "source-only"


class DeepCells:
    """Computes cells (method, SOURCE-TARGET, seed) of domains `specs`; `known` cells hold checkpoints to start from.

    The images of a task and seed are kept for the next cell: these come in a row.
    """

    def __init__(self, job: Job, specs: dict[str, str], settings: dict[str, dict[str, Any]], known: dict[Key, Cell]):
        self.job, self.specs, self.settings = job, specs, settings
        self.starts = {key[1:]: cell["checkpoint"] for key, cell in known.items() if cell.get("checkpoint")}
        self.kept: tuple[tuple[str, str | None, int], Domains, Splits] | None = None

    def cell(self, key: Key) -> Cell:
        """Target accuracy after one training, and which epoch was kept; source only leaves its checkpoint."""
        method, task, seed = key
        state = self.job.folder / "state" / f"{method} {task}"
        job, name = replace(self._job_of(key), resume=self.job.resume and state.exists()), f"{state.name}/{seed}"
        session, domains, splits = self._ready(job, key)
        if session.learner.online:
            now, _, resets = answer_stream(job, session, splits)
            return {**_scored({"test": now}, splits, domains), "note": f"{resets} resets"}
        trained = train_aligner(job, session, domains, splits, name)
        scored = _scored(looks_of(trained.judge, splits), splits, domains)
        if method == PLAIN:
            scored["checkpoint"] = self.starts[task, seed] = save_checkpoint(job, session, scored).id
        rmtree(state, ignore_errors=True)  # the resume state of a whole network
        return {**scored, "note": f"epoch {trained.progress.best_epoch}"}

    def _job_of(self, key: Key) -> Job:
        """The job of one cell: its method, domains and seed; a source-free one has a checkpoint for its source."""
        method, task, seed = key
        source, _, target = task.partition("-")
        learner = deep_method(method, self.settings.get(method, {}))
        recipe = self.job.recipe
        start = self.starts.get((task, seed)) if learner.needs_checkpoint else None
        if learner.needs_checkpoint and start is None:
            raise UsageError(f"{method} starts from {PLAIN} on {task}, which did not end well.")
        parts = {
            "method": f"align/{method}",
            "data": AlignData(source=None if start else self.specs[source], target=self.specs[target]),
            "model": recipe.model.model_copy(update={"checkpoint": start}),
            "train": recipe.train.model_copy(update={"seed": seed}),
        }
        return replace(self.job, recipe=recipe.model_copy(update=parts), method=learner)

    def _ready(self, job: Job, key: Key) -> tuple[Session, Domains, Splits]:
        learner, checkpoint = job.method, checkpoint_of(job)
        data = (job.recipe.data.target, job.recipe.data.source, key[2])
        known = checkpoint.manifest.classes if checkpoint is not None else None
        if self.kept is None or self.kept[0] != data:
            domains = resolve_domains(job.recipe, type(learner), known, job.home)
            session = setup_aligner(job, learner, domains, checkpoint)
            self.kept = (data, domains, decode_domains(job, domains, session.preprocess))
            return session, domains, self.kept[2]
        _, domains, splits = self.kept
        return setup_aligner(job, learner, domains, checkpoint), domains, splits


def deep_method(name: str, settings: dict[str, Any]) -> DeepLearner:
    """The learner align/`name` with these params. Raises UsageError where they do not fit it."""
    cls = registry.get(f"align/{name}")
    return cls(params_of(cls, settings))


def _scored(looks: dict[str, Look], splits: Splits, domains: Domains) -> Cell:
    numbers = on_target(looks, splits, len(domains.classes))
    scored = {"accuracy": numbers["target_accuracy"]}
    return {**scored, "h_score": numbers["h_score"]} if "h_score" in numbers else scored
