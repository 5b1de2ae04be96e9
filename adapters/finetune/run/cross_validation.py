"""Cross-validation of a classify Learner, for tiny sets: every image is judged by a model that has not seen it.

Nothing is chosen on the held-out images: in each fold, as in the training on all images, the last epoch is taken.
"""

from dataclasses import replace

import numpy as np

from adapters.finetune.run.classifier import setup_classifier, train_classifier
from adapters.finetune.run.report import report
from studio.core.errors import DataError, UsageError
from studio.core.faces import Learner
from studio.core.procedure import Job, Outcome
from studio.data import Dataset
from studio.data.splits import Splits, k_folds
from studio.engine.decoded import MARGIN, decode_split, predict_pixels
from studio.engine.meters import Meter
from studio.engine.process_rank import rank
from studio.engine.session import save_checkpoint
from studio.metrics.expected import INDEPENDENT
from studio.store.state import load_state, save_state


def cross_validate(job: Job, splits: Splits) -> Outcome:
    """One training a fold, judged on the images it has not seen; then one on all images, which is kept."""
    recipe, settings = job.recipe, job.recipe.train
    if recipe.data.val is not None:
        raise UsageError("train.folds: k-fold makes its own validation sets; leave data.val out, or train.folds.")
    if settings.patience is not None:
        raise UsageError("train.patience: it would watch the images that k-fold scores on; leave out one of the two.")
    whole = _joined(splits)
    folds = k_folds(whole.labels, settings.folds, settings.seed)
    meter = Meter(job.device)
    out_of_fold = np.zeros((len(whole), len(whole.classes)), np.float32)
    scores = []
    for number, (kept, held) in enumerate(folds, start=1):
        out_of_fold[held] = _fold(job, whole, kept, held, f"fold {number}")
        scores.append(float((out_of_fold[held].argmax(axis=1) == whole.labels[held]).mean()))
    session = setup_classifier(job, _fresh(job), whole, "all")
    train = decode_split(job, whole, session.preprocess, "train", MARGIN)
    progress = train_classifier(job, session, train, None, "all")
    if rank() > 0:
        return Outcome()
    meter.images = min(settings.batch_size, len(whole)) * progress.step
    metrics = report(job, out_of_fold, whole)
    metrics.update(meter.read(), selection="k-fold", scored_on=f"{settings.folds}-fold cross-validation")
    job.table("folds", ["fold", "accuracy"], [[i, round(score, 4)] for i, score in enumerate(scores, start=1)])
    if splits.test is not None:
        test = decode_split(job, splits.test, session.preprocess, "test")
        on_test = predict_pixels(job, session.learner, test, session.preprocess)
        metrics.update(report(job, on_test, test.dataset, trust=INDEPENDENT))
        metrics["scored_on"] = "test"
    return Outcome(metrics, save_checkpoint(job, session, metrics).id)


def _fold(job: Job, whole: Dataset, kept: np.ndarray, held: np.ndarray, name: str) -> np.ndarray:
    """Probabilities [H, C] of the held-out images; kept in the resume state when done."""
    done = job.folder / "state" / f"{name} done"
    if job.resume and (saved := load_state(done)) is not None:
        return saved["probabilities"]
    session = setup_classifier(job, _fresh(job), whole.subset(kept), name)
    train = decode_split(job, whole.subset(kept), session.preprocess, "train", MARGIN)
    val = decode_split(job, whole.subset(held), session.preprocess, "val")
    if len(val.dataset) != len(held):
        raise DataError(f"{whole.spec} has images that can't be read; take them out before cross-validating.")
    # the last epoch counts: the best would be chosen on the images it is scored on
    train_classifier(job, session, train, val, name)
    probabilities = predict_pixels(job, session.learner, val, session.preprocess)
    if rank() == 0:
        save_state(done, {"probabilities": probabilities})
    return probabilities


def _fresh(job: Job) -> Learner:
    return type(job.method)(job.method.params)


def _joined(splits: Splits) -> Dataset:
    """Train and what was held out of it, together."""
    train, val = splits.train, splits.val
    return replace(train, items=[*train.items, *val.items], skipped=[*train.skipped, *val.skipped])
