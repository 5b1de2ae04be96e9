"""How a Clusterer is run: a source is learned first where there is one and scored as it is, then the target."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from adapters.reid.base import EmbeddingParams
from adapters.reid.baseline import Baseline
from adapters.reid.clusterer import Clusterer
from adapters.reid.data.batches import IdentityBatches
from adapters.reid.data.cluster_batches import ClusterBatches
from adapters.reid.data.trials import Trial
from adapters.reid.procedure import Learned, Recognition, camera_ids, fit, index_of, judge_of, labelled, set_up
from adapters.reid.run.cluster_judge import ClusterJudge, cluster_table
from adapters.reid.run.embedding import Eye
from adapters.reid.run.trial_runs import run_trials, score_trial
from studio.core.errors import UsageError
from studio.core.procedure import Job, Outcome
from studio.core.registry import procedure
from studio.engine.decoded import decode_split
from studio.figures.retrieval import clusters_figure
from studio.store.state import load_state, save_state


@procedure
class ClusterProcedure(Recognition):
    """Runs every Clusterer; a checkpoint is that of any trained embedding."""

    face = Clusterer

    def run(self, job: Job) -> Outcome:
        return run_trials(job, lambda trial, name: adapt(job, trial, name))


def adapt(job: Job, trial: Trial, name: str = "") -> Learned:
    """Learns the source where there is one, then the target's clusters; `before` is the score in between."""
    if trial.target is None:
        raise UsageError(f"data.target: nothing is named, and {job.recipe.method} learns from images without labels.")
    learned = set_up(job, trial)
    learner: Clusterer = learned.session.learner
    if job.recipe.train.epochs == 0:
        return learned
    starts = _source_states(job, trial, learner, name)
    if starts:
        learner.load_state(starts[0])
    learned.before = score_trial(job, learned, trial)
    learned.began = "checkpoint" if job.recipe.model.checkpoint else "source" if starts else "backbone"
    _learn_target(job, learned, trial, starts, name)
    return learned


def _learn_target(job: Job, learned: Learned, trial: Trial, starts: list[Any], name: str) -> None:
    learner, session = learned.session.learner, learned.session
    target = decode_split(job, trial.target, session.preprocess, "the target")  # type: ignore[arg-type]
    items = target.dataset.items
    cameras = sorted({item.camera or "" for item in items})
    learner.remember(len(items))
    if starts:
        learner.start_from_several(starts)
    batches = ClusterBatches(
        target.pixels, lambda: learner.labels, session.preprocess, job.recipe.train,
        camera_ids(target.dataset, cameras), learner.twice,
    )  # fmt: skip
    eye = Eye(
        learner, session.preprocess, job.device, index_of(learned.cameras), job.recipe.eval.flip, learner.describe
    )
    judge = ClusterJudge(
        job, learner, eye, target.pixels, [item.camera or "" for item in items], judge_of(job, learned, trial)
    )
    if job.recipe.train.minutes:  # the first batches are timed before the start is judged
        judge.evaluate()
    progress = fit(job, learned, batches, judge.evaluate, name)
    job.table(f"clusters {name}".strip(), *cluster_table(progress.history))
    job.figure(f"clusters {name}".strip(), clusters_figure(progress.history))


def _source_states(job: Job, trial: Trial, learner: Clusterer, name: str) -> list[dict[str, Tensor]]:
    """What trainings of the strong baseline on the source leave, each from its own seed; none without a source."""
    if trial.train is None or job.recipe.model.checkpoint:
        return []
    return [
        _source_state(job, trial, learner, f"{name} source {number}".strip(), number)
        for number in range(learner.starts)
    ]


def _source_state(job: Job, trial: Trial, learner: Clusterer, name: str, number: int) -> dict[str, Tensor]:
    """One of them; kept in the resume state when done."""
    done = job.folder / "state" / f"{name} done"
    if job.resume and (state := load_state(done)) is not None:
        return state
    seeded = job.recipe.train.model_copy(update={"seed": job.recipe.train.seed + number})
    job = replace(job, recipe=job.recipe.model_copy(update={"train": seeded}))
    shared = {key: getattr(learner.params, key) for key in EmbeddingParams.model_fields}
    learned = set_up(job, trial, Baseline(Baseline.Params(**shared)))
    split = labelled(decode_split(job, trial.train, learned.session.preprocess, "the source"))  # type: ignore[arg-type]
    cameras = camera_ids(split.dataset, learned.cameras) if learned.cameras else None
    batches = IdentityBatches(split.pixels, split.dataset.labels, learned.session.preprocess, seeded, cameras)
    fit(job, learned, batches, judge_of(job, learned, trial), name)
    state = {key: tensor.cpu() for key, tensor in learned.session.learner.state().items()}
    save_state(done, state)
    return state
