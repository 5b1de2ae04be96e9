"""One session of a Learner, the same in every wing: set up on its backbone, trained, saved, restored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.home import Home
from studio.core.procedure import Job
from studio.data.preprocess import Preprocess
from studio.device.precision import choose_memory_format
from studio.engine.loop import BEST, Batches, Loop, Progress, Selection
from studio.engine.manifest import manifest_of
from studio.store import Checkpoint


@dataclass
class Session:
    """A learner that is set up, and what it started from."""

    learner: Any
    backbone: Any  # None: its networks start from nothing
    preprocess: Preprocess
    hash: str  # of the backbone, before anything was trained
    classes: list[str]
    before: list[str] | None = None  # those of them that were known already, where it goes on from other classes


def setup(
    job: Job, learner: Any, backbone: Any, classes: list[str], preprocess: Preprocess | None = None,
    training: bool = True, **extra: Any,
) -> Session:  # fmt: skip
    """The learner set up on a backbone; `preprocess` where it is not the backbone's own, `extra` for its context.

    Without a backbone (None) its networks start from nothing, and `preprocess` must be given.
    """
    preprocess = preprocess or backbone.preprocess
    session = Session(learner, backbone, preprocess, backbone.hash if backbone is not None else "", classes)
    learner.setup(LearnerContext(backbone, classes, job.recipe.train.seed, preprocess.image_size, training, extra))
    return session


def to_device(job: Job, session: Session) -> None:
    """Moves the learner's module to the job's device, in the memory format that is quick there."""
    layout = getattr(torch, choose_memory_format(job.device, getattr(session.backbone, "kind", "cnn")))
    session.learner.module.to(job.device, memory_format=layout)


def train(
    job: Job, session: Session, batches: Batches, evaluate: Callable[[], dict[str, float]], metric: str, name: str = "",
    selection: Selection = BEST,
) -> Progress:  # fmt: skip
    """Trains to the end; where the loss breaks, the best epoch so far is left as a checkpoint.

    `metric` is what the score is called in that checkpoint; `name` tells several trainings of one run apart;
    `selection` says which epoch is the best.
    """
    loop = Loop(session.learner, batches, job.recipe.train, job, evaluate, name, selection)
    return loop.run(keep=lambda score: save_checkpoint(job, session, {metric: score}).id)


def save_checkpoint(job: Job, session: Session, metrics: dict[str, Any]) -> Checkpoint:
    """The checkpoint of a learner as it is now; it names the backbone it started from."""
    manifest = manifest_of(job, session.classes, metrics, session.backbone)
    manifest.preprocess = session.preprocess.to_dict()
    if session.backbone is not None:
        manifest.backbone["hash"] = session.hash
    return job.store.put(manifest, session.learner.state())


def restore(
    checkpoint: Checkpoint, device: str, home: Home, tensors: Mapping[str, Tensor] | None = None, **extra: Any
) -> Session:
    """The learner of a checkpoint as it was saved, on `device`; `tensors` where not all of its are the learner's.

    Raises UsageError where it needs its backbone's weights, and those of that name are others now.
    """
    manifest = checkpoint.manifest
    cls = registry.get(manifest.method)
    learner = cls(cls.Params(**manifest.params))
    preprocess = Preprocess.from_dict(manifest.preprocess)
    backbone, size = None, preprocess.image_size
    if manifest.backbone:
        size = manifest.backbone["image_size"]
        backbone = _backbone_of(checkpoint, cls, size, home)
    learner.setup(LearnerContext(backbone, manifest.classes, 0, size, False, extra))
    learner.load_state(checkpoint.tensors() if tensors is None else tensors)
    learner.module.to(device)
    return Session(learner, backbone, preprocess, manifest.backbone.get("hash", ""), manifest.classes)


def _backbone_of(checkpoint: Checkpoint, cls: Any, size: int, home: Home) -> Any:
    """The backbone that a checkpoint was made on: the shape alone where it holds all weights itself."""
    kept = checkpoint.manifest.backbone
    backbone = registry.backbone(
        kept["spec"], home=home, image_size=size, weights=not cls.whole, architecture=kept.get("architecture")
    )
    if not cls.whole and backbone.hash != kept["hash"]:
        raise UsageError(
            f"The backbone {kept['spec']} is not the one that {checkpoint.id} was made with: its weights differ. Get "
            "back the package or file it came from."
        )
    return backbone
