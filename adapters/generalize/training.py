"""Training a Generalizer under a selection rule, named as Gulrajani and Lopez-Paz 2021, section 3, name them."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from adapters.finetune.run.classifier import setup_classifier
from adapters.finetune.run.first_head import teach_head
from adapters.generalize.base import Generalizer
from adapters.generalize.batches import SourceBatches
from adapters.generalize.domains import DomainSplits, require_batches
from studio.core.errors import UsageError
from studio.core.procedure import Job
from studio.data.domains import domain_ids
from studio.data.preprocess import Preprocess
from studio.engine.decoded import MARGIN, Decoded, decode_split, judge, predict_pixels
from studio.engine.loop import BEST, Progress, Selection
from studio.engine.restyled import restyle_of
from studio.engine.session import Session, train
from studio.store.state import load_state, save_state

#: what is said beside a number, by eval.selection
RULES = {
    "training-domain": "training-domain validation",
    "leave-one-domain-out": "leave-one-domain-out",
    "oracle": "oracle (labels of the unseen domain)",
    "last": "last epoch",
}


@dataclass
class Decodings:
    """The splits of a run in memory; `train` is a little larger than the network's input."""

    train: Decoded
    val: Decoded
    unseen: Decoded | None

    @property
    def sources(self) -> list[str]:
        return domain_ids(self.train.dataset.items)[1]

    def without(self, source: str) -> "Decodings":
        """The other sources to learn from, and the held-out images of this one as the unseen domain."""
        train, val = (_rows(split, source, False) for split in (self.train, self.val))
        return Decodings(train, val, _rows(self.val, source, True))


def decode_domains(job: Job, splits: DomainSplits, preprocess: Preprocess) -> Decodings:
    """Every image that can be read, decoded once; the others are named in the events."""
    train = decode_split(job, splits.train, preprocess, "train", MARGIN)
    val = decode_split(job, splits.val, preprocess, "val")
    unseen = None if splits.unseen is None else decode_split(job, splits.unseen, preprocess, "the unseen domain")
    return Decodings(train, val, unseen)


def set_up(job: Job, learner: Generalizer, splits: DomainSplits, name: str = "") -> Session:
    """The learner on its backbone, ready to train. Raises UsageError where batches don't fit the sources."""
    require_batches(splits, job.recipe.train.batch_size)
    if job.recipe.eval.selection == "leave-one-domain-out" and len(splits.sources) < 3:
        raise UsageError(
            f"eval.selection: leave-one-domain-out trains without each of {len(splits.sources)} sources; expected at "
            "least three, so that two are left. training-domain needs two."
        )
    return setup_classifier(job, learner, splits.train, name, sources=len(splits.sources))


def train_selected(job: Job, session: Session, decodings: Decodings, name: str = "") -> Progress:
    """Trains to the end; the learner then holds the weights that the rule of `eval.selection` chose."""
    rule, learner = job.recipe.eval.selection, session.learner
    judged, selection = decodings.val, Selection(last=rule == "last")
    if rule == "oracle" and not learner.chooses:
        judged = decodings.unseen
    if rule == "leave-one-domain-out" and not learner.chooses:
        selection = Selection(epoch=epoch_by_leaving_out(job, decodings, name))
    progress = _fit(job, session, decodings.train, judged, name, selection)
    if learner.chooses or selection.last:
        learner.finish()
    elif progress.best is not None:
        learner.load_state(progress.best)
    return progress


def rule_in_words(learner: Generalizer, rule: str) -> str:
    """The rule by which the weights were chosen, for people."""
    return f"{RULES['training-domain']}, by the method itself" if learner.chooses else RULES[rule]


def epoch_by_leaving_out(job: Job, decodings: Decodings, name: str = "") -> int:
    """The epoch after which trainings without one source are best on it, on average over the sources."""
    curves = []
    for source in decodings.sources:
        history = _left_out(job, decodings.without(source), f"{name} without {source}".strip())
        curves.append([values["score"] for values in history])
    epochs = range(1, 1 + min(map(len, curves)))  # a shorter one lost its patience, or had more steps an epoch
    mean = np.mean([curve[: len(epochs)] for curve in curves], axis=0)
    rows = [[epoch, *(round(c[i], 4) for c in curves), round(float(mean[i]), 4)] for i, epoch in enumerate(epochs)]
    job.table(f"{name} leaving one source out".strip(), ["epoch", *decodings.sources, "mean"], rows)
    return epochs[int(mean.argmax())]


def _left_out(job: Job, decodings: Decodings, name: str) -> list[dict[str, float]]:
    """How a training without a source does on it, epoch by epoch; kept in the resume state when done."""
    done = job.folder / "state" / f"{name} done"
    if job.resume and (saved := load_state(done)) is not None:
        return saved["history"]
    learner = type(job.method)(job.method.params)
    session = setup_classifier(job, learner, decodings.train.dataset, name, sources=len(decodings.sources))
    history = _fit(job, session, decodings.train, decodings.unseen, name).history
    save_state(done, {"history": history})
    return history


def _fit(
    job: Job, session: Session, split: Decoded, judged: Decoded, name: str, selection: Selection = BEST
) -> Progress:
    settings = job.recipe.train
    each = settings.batch_size // len(domain_ids(split.dataset.items)[1])
    batches = SourceBatches(split, each, session.preprocess, settings, restyle_of(job))
    if session.learner.params.first_epochs and job.recipe.model.checkpoint is None:
        teach_head(job, session.learner, split, session.preprocess, session.learner.params.first_epochs)
    probabilities = partial(predict_pixels, job, session.learner, judged, session.preprocess)
    return train(job, session, batches, lambda: judge(probabilities(), judged), "accuracy", name, selection)


def _rows(split: Decoded, source: str, inside: bool) -> Decoded:
    return split.part(np.flatnonzero([(item.domain == source) == inside for item in split.dataset.items]))
