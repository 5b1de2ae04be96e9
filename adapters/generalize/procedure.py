"""How a Generalizer is run: decode once, train on all sources together, score each domain, leave a checkpoint."""

from typing import Any

from adapters.finetune.procedure import LearnerPredictor
from adapters.finetune.run.insight import calibrate, show_where_it_looks
from adapters.finetune.run.report import report
from adapters.generalize.base import Generalizer
from adapters.generalize.domains import resolve_domains
from adapters.generalize.report import UNSEEN, DomainMap, domain_table, words_of, worst_source
from adapters.generalize.training import Decodings, decode_domains, rule_in_words, set_up, train_selected
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.registry import procedure
from studio.data.preprocess import Preprocess
from studio.engine.decoded import predict_pixels
from studio.engine.loop import Progress
from studio.engine.meters import Meter
from studio.engine.session import restore, save_checkpoint
from studio.metrics.expected import INDEPENDENT, SHARED
from studio.store import Checkpoint


@procedure
class Generalizing(Procedure):
    """Runs and restores every Generalizer."""

    task = "generalize"
    face = Generalizer

    def run(self, job: Job) -> Outcome:
        recipe, settings = job.recipe, job.recipe.train
        if settings.epochs == 0 and recipe.model.checkpoint is None:
            raise UsageError("train.epochs: 0 evaluates only, which needs model.checkpoint to name a checkpoint.")
        splits = resolve_domains(recipe.data, settings.seed, job.home)
        job.events.note(splits.note)
        session = set_up(job, job.method, splits)
        learner, preprocess = session.learner, session.preprocess
        decodings = decode_domains(job, splits, preprocess)
        features = DomainMap(job, decodings, preprocess)
        features.add(learner, "before")
        meter, progress = Meter(job.device), Progress()
        if settings.epochs:
            progress = train_selected(job, session, decodings)
            meter.images = settings.batch_size * progress.step
        throughput = meter.read()
        features.add(learner, "after")
        features.draw()
        metrics = {**scored(job, learner, decodings, preprocess, progress), **throughput}
        return Outcome(metrics, save_checkpoint(job, session, metrics).id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> Predictor:
        session = restore(checkpoint, device, home)
        return LearnerPredictor(session.learner, session.classes, session.preprocess, device)


def scored(
    job: Job, learner: Generalizer, decodings: Decodings, preprocess: Preprocess, progress: Progress
) -> dict[str, Any]:
    """Metrics of the unseen domain, or where there is none of what the sources held out; tables and figures too."""
    rule, images = job.recipe.eval.selection, decodings.unseen or decodings.val
    on_val = predict_pixels(job, learner, decodings.val, preprocess)
    on_images = predict_pixels(job, learner, images, preprocess) if decodings.unseen else on_val
    unseen = {UNSEEN: (on_images, images.dataset)} if decodings.unseen else {}
    accuracies = domain_table(job, {"source": (on_val, decodings.val.dataset), **unseen})
    show_where_it_looks(job, learner, images, preprocess)
    trust = INDEPENDENT if decodings.unseen and rule != "oracle" else SHARED
    metrics = report(job, on_images, images.dataset, progress.history, trust)
    metrics.update(calibrate(on_val, decodings.val.dataset.labels, on_images, images.dataset.labels))
    metrics["val_accuracy"] = float((on_val.argmax(axis=1) == decodings.val.dataset.labels).mean())
    metrics.update(accuracy_by_domain=accuracies, **worst_source(accuracies, decodings.sources))
    metrics.update(selection=rule_in_words(learner, rule), scored_on=words_of(decodings))
    if progress.best_epoch >= 0 and not learner.chooses:
        metrics["best_epoch"] = progress.best_epoch
    return metrics
