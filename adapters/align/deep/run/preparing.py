"""A deep alignment made ready: the learner on its backbone or checkpoint, and the decoded images of its domains."""

from typing import Any

from adapters.align.deep.base import DeepLearner
from adapters.align.deep.run.batches import AligningBatches
from adapters.align.deep.run.domains import Domains
from adapters.align.deep.run.judging import SAMPLED, Splits, evenly
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import Learner
from studio.core.procedure import Job
from studio.data.domains import blind, domain_ids
from studio.data.preprocess import Preprocess
from studio.engine.decoded import MARGIN, Decoded, decode_split
from studio.engine.restyled import restyle_of
from studio.engine.session import Session, setup, to_device
from studio.store import Checkpoint


def checkpoint_of(job: Job) -> Checkpoint | None:
    """The checkpoint to start from. Raises UsageError where it holds no whole network that classifies."""
    name = job.recipe.model.checkpoint
    if name is None:
        return None
    checkpoint = job.store.checkpoint(name)
    require_classifier(checkpoint, "model.checkpoint")
    return checkpoint


def require_classifier(checkpoint: Checkpoint, what: str) -> None:
    """Raises UsageError, which begins with `what`, where it holds no backbone with a linear head that classifies."""
    cls = registry.get(checkpoint.manifest.method)
    if not (issubclass(cls, Learner) and cls.whole and "head.weight" in checkpoint.tensors("head.")):
        raise UsageError(
            f"{what}: {checkpoint.id} was made by {checkpoint.manifest.method}, which leaves no whole network with "
            "one linear classifier. Expected one of a deep align/ method, such as align/source-only, or of "
            "finetune/full."
        )


def setup_aligner(job: Job, learner: DeepLearner, domains: Domains, checkpoint: Checkpoint | None = None) -> Session:
    """The learner set up on its backbone, or as `checkpoint` left it, on the job's device, ready to train.

    The bottleneck is the checkpoint's. Raises UsageError where its classes are others.
    """
    model, classes = job.recipe.model, learner.classes_of(domains.classes)
    spec, size = model.backbone, model.image_size
    if checkpoint is not None:
        manifest = checkpoint.manifest
        spec, size = manifest.backbone["spec"], size or manifest.backbone["image_size"]
        learner.params = learner.params.model_copy(update={"bottleneck": manifest.params.get("bottleneck", 0)})
        if manifest.classes != classes:
            raise UsageError(
                f"model.checkpoint: {checkpoint.id} knows {', '.join(manifest.classes[:8])}; the source has "
                f"{', '.join(classes[:8])}. Expected the same classes."
            )
    backbone = registry.backbone(spec, home=job.home, image_size=size)
    session = setup(job, learner, backbone, classes, target_images=len(domains.target))
    if checkpoint is not None:
        learner.load_state(checkpoint.tensors())
        job.events.note(f"Starts from checkpoint {checkpoint.id}.")
    to_device(job, session)
    return session


def decode_domains(job: Job, domains: Domains, preprocess: Preprocess) -> Splits:
    """What is looked at, decoded at the size of the input."""
    train, val = (
        None if part is None else decode_split(job, part, preprocess, what)
        for part, what in ((_sample(domains.train), "a sample of the source"), (domains.val, "the source's validation"))
    )
    test = None if domains.test is None else decode_split(job, domains.test, preprocess, "what is scored")
    if test is not None and domains.same:
        target: Any = Decoded(test.pixels, blind(test.dataset))  # type: ignore[arg-type]
    else:
        target = decode_split(job, domains.target, preprocess, "the target")  # type: ignore[arg-type]
    return Splits(train, val, target, test, domains.same)


def batches_for(job: Job, learner: DeepLearner, domains: Domains, splits: Splits, preprocess: Preprocess) -> Any:
    """Batches of the learner's streams, from images a little larger than the input where crops are taken."""
    margin = 1.0 if job.recipe.train.augment == "none" else MARGIN
    source, of_domain = None, None
    if domains.train is not None:
        source = decode_split(job, domains.train, preprocess, "the source", margin)
        ids, names = domain_ids(source.dataset.items)
        of_domain = ids if len(names) > 1 else None
    needs_target = any(stream.blind for stream in learner.streams)
    target = splits.target
    if needs_target and margin > 1:
        target = decode_split(job, splits.target.dataset, preprocess, "the target, for training", margin)
    return AligningBatches(
        learner.streams, source, target, preprocess, job.recipe.train, learner.strong, of_domain,
        restyle_of(job) if source is not None else None,
    )  # fmt: skip


def _sample(train: Any) -> Any:
    if train is None:
        return None
    return train.subset(evenly(len(train), SAMPLED))
