"""A classifier from its backbone to the end of its training."""

from typing import Any

from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import Learner
from studio.core.procedure import Job
from studio.data import Dataset
from studio.data.domains import domain_ids
from studio.data.load_split import features_of
from studio.data.splits import some
from studio.engine.batches import TrainBatches
from studio.engine.decoded import Decoded, judge, predict_pixels
from studio.engine.loop import Progress
from studio.engine.restyled import restyle_of
from studio.engine.session import Session, setup, to_device, train
from studio.store import Checkpoint
from studio.store.state import generations


def setup_classifier(job: Job, learner: Learner, dataset: Dataset, name: str = "", **extra: Any) -> Session:
    """The learner set up on its backbone, on the job's device, ready to train on `dataset`; `extra` for its context."""
    settings = job.recipe.train
    backbone, going_on = _backbone(job, dataset.classes)
    backbone.to(job.device)
    resumed = job.resume and bool(generations(job.folder / "state" / name))
    training = settings.epochs > 0 or learner.interpolates
    wanted = learner.needs_features and training and going_on is None and not resumed
    features = features_of(job, dataset, backbone, "train") if wanted else None
    session = setup(job, learner, backbone, dataset.classes, training=training, **extra)
    if going_on is not None:
        learner.load_state(going_on.tensors())
    to_device(job, session)
    if features is not None:
        learner.start_from(features[0], features[1].labels)
    return session


def train_classifier(job: Job, session: Session, split: Decoded, val: Decoded | None, name: str = "") -> Progress:
    """Trains to the end, judged by accuracy on `val`; without one the last epoch is kept."""
    classes = len(split.dataset.classes)
    domains, names = domain_ids(split.dataset.items)
    batches = TrainBatches(
        split.pixels, split.dataset.labels, classes, session.preprocess, job.recipe.train,
        domains if len(names) > 1 else None, restyle_of(job),
    )  # fmt: skip

    def evaluate() -> dict[str, float]:
        if val is None:  # trained on all there is
            return {"score": float("-inf")}
        return judge(predict_pixels(job, session.learner, val, session.preprocess), val)

    return train(job, session, batches, evaluate, "accuracy", name)


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
