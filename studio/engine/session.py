"""A classify Learner from its backbone to its checkpoint: set up, trained in the one loop, left in the store."""

from dataclasses import dataclass
from typing import Any

import torch

from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import Learner, LearnerContext
from studio.core.procedure import Job
from studio.data import Dataset
from studio.data.domains import domain_ids
from studio.data.load_split import features_of
from studio.data.preprocess import Preprocess
from studio.data.splits import some
from studio.device.precision import choose_memory_format
from studio.engine.batches import TrainBatches
from studio.engine.decoded import Decoded, judge, predict_pixels
from studio.engine.loop import Loop, Progress
from studio.engine.manifest import manifest_of
from studio.store import Checkpoint
from studio.store.state import generations


@dataclass
class Start:
    """A learner that is set up, and what it started from."""

    learner: Learner
    backbone: Any
    preprocess: Preprocess
    hash: str  # of the backbone, before anything was trained
    classes: list[str]


def begin(job: Job, learner: Learner, train: Dataset, name: str = "") -> Start:
    """The learner set up on its backbone, on the job's device, ready to train on `train`."""
    settings = job.recipe.train
    backbone, going_on = _backbone(job, train.classes)
    backbone.to(job.device)
    resumed = job.resume and bool(generations(job.folder / "state" / name))
    training = settings.epochs > 0 or learner.interpolates
    wanted = learner.needs_features and training and going_on is None and not resumed
    features = features_of(job, train, backbone, "train") if wanted else None
    start = Start(learner, backbone, backbone.preprocess, backbone.hash, train.classes)
    size = backbone.preprocess.image_size
    learner.setup(LearnerContext(backbone, train.classes, settings.seed, size, training=training))
    if going_on is not None:
        learner.load_state(going_on.tensors())
    layout = getattr(torch, choose_memory_format(job.device, backbone.kind))
    learner.module.to(job.device, memory_format=layout)
    if features is not None:
        learner.start_from(features[0], features[1].labels)
    return start


def fit(job: Job, start: Start, train: Decoded, val: Decoded | None, name: str = "") -> Progress:
    """Trains to the end; where the loss breaks, the best epoch so far is left as a checkpoint."""
    learner, settings = start.learner, job.recipe.train
    domains, names = domain_ids(train.dataset.items)
    batches = TrainBatches(
        train.pixels, train.dataset.labels, len(train.dataset.classes), start.preprocess, settings,
        domains if len(names) > 1 else None,
    )  # fmt: skip

    def evaluate() -> dict[str, float]:
        if val is None:  # trained on all there is: the last epoch is kept
            return {"score": float("-inf")}
        return judge(predict_pixels(job, learner, val, start.preprocess), val)

    loop = Loop(learner, batches, settings, job, evaluate, name)
    return loop.run(keep=lambda score: leave(job, start, {"accuracy": score}).id)


def leave(job: Job, start: Start, metrics: dict[str, Any]) -> Checkpoint:
    """The checkpoint of a learner as it is now; it names the backbone it started from."""
    manifest = manifest_of(job, start.backbone, start.classes, metrics)
    manifest.backbone["hash"] = start.hash
    return job.store.put(manifest, start.learner.state())


def other_classes(checkpoint: Checkpoint, classes: list[str]) -> str:
    """A sentence on how the classes of the data differ from those of a checkpoint; empty where they do not."""
    known = checkpoint.manifest.classes
    new, missing = [name for name in classes if name not in known], [name for name in known if name not in classes]
    if new or missing:
        found = f"it does not know {some(new)}" if new else f"the data has no {some(missing)}"
        return f"Its classes are {some(known)}; {found}. "
    return "" if known == classes else f"Its classes come in another order: {some(known)}. "


def _backbone(job: Job, classes: list[str]) -> tuple[Any, Checkpoint | None]:
    """The backbone to start from, and the checkpoint to go on from where its classes are the same."""
    model = job.recipe.model
    if model.checkpoint is None:
        return registry.backbone(model.backbone, home=job.home, image_size=model.image_size), None
    checkpoint = job.store.checkpoint(model.checkpoint)
    described = checkpoint.manifest.backbone
    if job.method.interpolates:  # both ends start from the backbone that the checkpoint started from
        return registry.backbone(described["spec"], home=job.home, image_size=described["image_size"]), None
    same = checkpoint.manifest.classes == classes and checkpoint.manifest.method == job.recipe.method
    if job.recipe.train.epochs == 0 and not same:
        raise UsageError(
            f"model.checkpoint: {checkpoint.id} was made by {checkpoint.manifest.method}. "
            f"{other_classes(checkpoint, classes)}Only the same method and classes can be evaluated; "
            "with train.epochs above 0 its backbone gets a new head."
        )
    again = same and not job.method.whole  # the method lays its own tensors over the original once more
    spec = described["spec"] if again else f"store/{checkpoint.id}"
    backbone = registry.backbone(spec, home=job.home, image_size=model.image_size)
    job.events.note(
        f"Starts from checkpoint {checkpoint.id}"
        + ("." if same else ": its backbone, with a new head for the new classes.")
    )
    return backbone, checkpoint if same else None
