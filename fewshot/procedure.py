"""How a few-shot head on frozen features is run: episodes are scored, then a checkpoint is taught with all photos."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fewshot import teach as teaching
from fewshot.evaluate import EpisodeScores, evaluate
from fewshot.material import Material, Photos, drawn, fixed, photos, train_and_test
from fewshot.predictor import SupportPredictor, one_by_one
from fewshot.report import metrics_of, show, show_neighbours, tell_expected
from fewshot.support import MOST_THUMBNAILS, SupportSet
from fewshot.thumbnails import SIDE
from studio.core import registry
from studio.core.errors import DataError
from studio.core.faces import EpisodeHead
from studio.core.home import Home
from studio.core.procedure import Job, Outcome
from studio.core.registry import procedure
from studio.data import read_image
from studio.data.splits import images, relabel
from studio.engine.manifest import manifest_of
from studio.figures import confusion_figure
from studio.metrics import classification_report, confusion
from studio.store import Checkpoint, Store


@procedure
class EpisodeProcedure(teaching.TaughtProcedure):
    """Runs, restores and teaches every EpisodeHead of task classify."""

    task = "classify"
    face = EpisodeHead

    def run(self, job: Job) -> Outcome:
        if job.recipe.model.checkpoint and job.recipe.train.epochs == 0:
            return Outcome(only_evaluate(job))
        backbone, known = start(job)
        train, test = train_and_test(job, backbone) if has_train(job) else (None, None)
        head = job.method
        if train is not None:
            check_size(one_by_one(head), len(train.features) + len(known or []))
        material = episodes_of(job, backbone, train, test)
        result = score(job, head, material, head.title)
        show(job, result, list(material.source.classes), head.title)
        metrics = {**metrics_of(result), "scored_on": material.scored_on}
        if head.transductive:
            metrics["one_by_one_accuracy"] = score_one_by_one(job, head, material)
        if train is None:
            job.events.note("data.train is not given: the episodes are scored, and no checkpoint is left.")
            return Outcome(metrics)
        support = gather_support(job, train, known)
        show_neighbours(job, support)
        checkpoint = teaching.keep(job.store, manifest_of(job, [], metrics, backbone), head, support)
        tell_expected(job, checkpoint.manifest.metrics)
        return Outcome(checkpoint.manifest.metrics, checkpoint.id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Store) -> SupportPredictor:
        return teaching.restore(checkpoint, device, home)


def start(job: Job) -> tuple[Any, SupportSet | None]:
    """The backbone on its device, and what model.checkpoint was taught before, if it is given."""
    model = job.recipe.model
    if model.checkpoint is None:
        backbone = registry.backbone(model.backbone, home=job.home, image_size=model.image_size)
        return backbone.to(job.device), None
    checkpoint = job.store.checkpoint(model.checkpoint)
    teaching.head_of(checkpoint)  # refuses what was not taught
    backbone = teaching.backbone_of(checkpoint, job.home)
    job.events.note(f"Teaching {checkpoint.id} further, on its own backbone {backbone.spec}.")
    return backbone.to(job.device), SupportSet.load(checkpoint)


def has_train(job: Job) -> bool:
    """Whether there are photos to teach with; only fixed episodes can do without."""
    return job.recipe.data.train is not None or job.recipe.eval.episodes_file is None


def episodes_of(job: Job, backbone: Any, train: Photos | None, test: Photos | None) -> Material:
    """What is scored: the episodes of eval.episodes_file, else drawn ones."""
    device = job.device if job.device.startswith("cuda") else "cpu"  # small linear algebra is at home on these two
    if job.recipe.eval.episodes_file is not None:
        return fixed(job, backbone, device)
    assert train is not None
    return drawn(job, train, test, device)


def score(job: Job, head: EpisodeHead, material: Material, what: str) -> EpisodeScores:
    """The head's scores on all episodes, with progress in the events."""
    return evaluate(
        head,
        material.source,
        material.pools,
        progress=lambda done, total: job.events.progress(f"episodes: {what}", done, total),
        should_stop=job.should_stop,
    )


def score_one_by_one(job: Job, head: EpisodeHead, material: Material) -> float:
    """Accuracy of what the checkpoint of a transductive head predicts single photos with."""
    assumption = " with as many queries of each class" if head.assumes_balanced else ""
    alone = one_by_one(head)
    accuracy = score(job, alone, material, f"{alone.title}, one by one").interval[0]
    job.events.note(
        f"{head.title} looks at all queries of an episode together{assumption}. Single photos are predicted by "
        f"{alone.title} instead, which has {accuracy:.3f} on the same episodes."
    )
    return accuracy


def gather_support(job: Job, train: Photos, known: SupportSet | None) -> SupportSet:
    """The support set of all labelled photos of train, added to what was taught before."""
    labels = train.dataset.labels
    rank = np.empty(len(labels), np.int64)  # of a photo within its class: if not all can be shown, some of each are
    for label in np.unique(labels):
        rank[labels == label] = np.arange((labels == label).sum())
    order = np.flatnonzero(labels >= 0)
    if len(order) > MOST_THUMBNAILS:
        order = order[np.argsort(rank[order], kind="stable")]
    items = [train.dataset.items[number] for number in order]
    with ThreadPoolExecutor(max(1, job.recipe.train.workers)) as pool:
        shown = list(pool.map(lambda item: read_image(item.source, item.name, min_side=SIDE), items[:MOST_THUMBNAILS]))
    classes = train.dataset.classes
    before = known or SupportSet.empty(train.features.shape[1], classes)
    names = [classes[item.label] for item in items]
    support = before.with_photos(train.features[order], names, [item.name for item in items], shown)
    return support.without_empty_classes()


def check_size(head: EpisodeHead, photos: int) -> None:
    """Raises DataError for more photos than the head can hold together."""
    most = getattr(head, "most_supports", None)
    if most is not None and photos > most:
        raise DataError(
            f"{head.id} compares all photos with each other, and {photos:,} are too many (at most {most:,}). "
            "Take fewshot/prototypes, or finetune/linear-probe, which is made for many photos."
        )


def only_evaluate(job: Job) -> dict[str, Any]:
    """train.epochs: 0 with model.checkpoint: the checkpoint's own predictions on data.test, else data.train."""
    data = job.recipe.data
    checkpoint = job.store.checkpoint(job.recipe.model.checkpoint)
    predictor = teaching.restore(checkpoint, job.device, job.home)
    spec, split = (data.test, "test") if data.test else (data.train, "train")
    if spec is None:
        raise DataError("data.test: nothing is given to evaluate on; expected something like folder:photos.")
    embedded = photos(job, relabel(images(spec, job.home), predictor.classes, split), predictor.backbone, split)
    probabilities, labels = predictor.of_features(embedded.features), embedded.dataset.labels
    job.figure("confusion", confusion_figure(confusion(labels, probabilities.argmax(1), len(predictor.classes)),
                                             predictor.classes))  # fmt: skip
    return {**classification_report(probabilities, labels), "scored_on": split}
