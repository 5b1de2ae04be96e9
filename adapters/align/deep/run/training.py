"""One training of a deep alignment in the one loop: judged after each epoch, and the good epoch kept."""

from dataclasses import dataclass

from adapters.align.deep.run.domains import Domains
from adapters.align.deep.run.judging import Judge, Look, Splits
from adapters.align.deep.run.preparing import batches_for
from adapters.finetune.run.first_head import teach_head
from studio.core.procedure import Job
from studio.engine.loop import Progress
from studio.engine.meters import Meter
from studio.engine.session import Session, train

Looks = dict[str, Look]


@dataclass
class Trained:
    """A training that has ended: its judge, how it went, and what it `cost` (images_per_s, peak_memory_mb)."""

    judge: Judge
    progress: Progress
    cost: dict[str, float]


def train_aligner(job: Job, session: Session, domains: Domains, splits: Splits, name: str = "") -> Trained:
    """The learner then holds the epoch that eval.selection keeps; the last, with a warning, where none was good.

    `name` tells several trainings of one run apart.
    """
    learner = session.learner
    judge = Judge(job, learner, session.preprocess, splits, len(session.classes), name)
    batches = batches_for(job, learner, domains, splits, session.preprocess)
    if batches.source is not None and learner.params.first_epochs:
        teach_head(job, learner, batches.source, session.preprocess, learner.params.first_epochs)
    meter = Meter(job.device)
    progress = train(job, session, batches, judge.evaluate, "label_free_score", name)
    meter.images = batches.batch_size * len(learner.streams) * progress.step
    if progress.best is not None:
        learner.load_state(progress.best)
    elif progress.history:
        job.events.warning("No epoch was good: the target's predictions stayed in few classes. The last is kept.")
    return Trained(judge, progress, meter.read())


def looks_of(judge: Judge, splits: Splits) -> Looks:
    """A network's looks at the source's validation images, the target, and what is scored."""
    parts = {"val": splits.val, "target": splits.target, "test": None if splits.same else splits.test}
    looks = {name: judge.look(part) for name, part in parts.items() if part is not None}
    return {"test": looks["target"], **looks} if splits.test is not None else looks
