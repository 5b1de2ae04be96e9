"""How a trained embedding is run: individuals decoded once, trained in the one loop, ranked, kept with its gallery."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from adapters.reid.base import EmbeddingLearner
from adapters.reid.data.batches import IdentityBatches
from adapters.reid.data.trials import Trial
from adapters.reid.exporters import Embedding
from adapters.reid.run.camera_statistics import embed_by_camera
from adapters.reid.run.embedding import Eye, embed_dataset
from adapters.reid.run.enrolment import GalleryProcedure
from adapters.reid.run.gallery import TENSORS, Gallery
from adapters.reid.run.predictor import Calibration, Recogniser
from adapters.reid.run.scoring import Scored, Side, score
from adapters.reid.run.trial_runs import run_trials
from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import Learner
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Predictor
from studio.core.registry import procedure
from studio.data.items import Dataset
from studio.data.preprocess import Preprocess
from studio.engine.decoded import Decoded, decode_split
from studio.engine.loop import Batches, Progress
from studio.engine.manifest import manifest_of
from studio.engine.session import Session, restore, setup, to_device, train
from studio.figures import curves_figure
from studio.store import Checkpoint


@procedure
class Recognition(GalleryProcedure):
    """Runs and restores every Learner of task reid."""

    task = "reid"
    face = Learner

    def run(self, job: Job) -> Outcome:
        return run_trials(job, lambda trial, name: learn(job, trial, name))

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> Predictor:
        manifest = checkpoint.manifest
        tensors = {name: tensor for name, tensor in checkpoint.tensors().items() if not name.startswith(TENSORS)}
        preprocess, cameras = Preprocess.from_dict(manifest.preprocess), manifest.extra["cameras"]
        session = restore(checkpoint, device, home, tensors, size=size_of(preprocess), cameras=len(cameras))
        flip = recipes.stored({"task": manifest.task, **manifest.recipe}).eval.flip
        eye = Eye(session.learner, preprocess, device, index_of(cameras), flip)
        calibration = Calibration(**manifest.extra["calibration"])
        return Recogniser(eye.photos, Gallery.load(checkpoint), calibration, Embedding(session.learner.module))


@dataclass
class Learned:
    """What a trial's training left; `before` is how a method that adapts ranked before it did, begun from `began`."""

    job: Job
    session: Session
    cameras: list[str]
    before: Scored | None = None
    began: str = ""

    @property
    def eye(self) -> Eye:
        session = self.session
        flip = self.job.recipe.eval.flip
        return Eye(session.learner, session.preprocess, self.job.device, index_of(self.cameras), flip)

    def embed(self, dataset: Dataset, what: str, by_camera: bool = False) -> tuple[np.ndarray, Dataset]:
        if by_camera:
            return embed_by_camera(self.job, self.eye, self.session.learner.module, dataset, what)
        return embed_dataset(self.job, self.eye, dataset, what)

    def save(self, gallery: Gallery, metrics: dict[str, Any], calibration: Calibration) -> Checkpoint:
        session, extra = self.session, {"calibration": asdict(calibration), "cameras": self.cameras}
        manifest = manifest_of(self.job, gallery.names, metrics, session.backbone, extra=extra)
        manifest.preprocess, manifest.backbone["hash"] = session.preprocess.to_dict(), session.hash
        tensors = {name: tensor.cpu() for name, tensor in session.learner.state().items()}
        return self.job.store.put(manifest, {**tensors, **gallery.tensors()}, gallery.files())


def learn(job: Job, trial: Trial, name: str = "") -> Learned:
    """Trains on a trial's individuals, or takes a checkpoint as it is where train.epochs is 0."""
    learned = set_up(job, trial)
    if job.recipe.train.epochs == 0:
        return learned
    split = labelled(decode_split(job, trial.train, learned.session.preprocess, "train"))
    numbered = learned.cameras or type(learned.session.learner).needs_cameras
    cameras = camera_ids(split.dataset, learned.cameras) if numbered else None
    batches = IdentityBatches(
        split.pixels, split.dataset.labels, learned.session.preprocess, job.recipe.train, cameras
    )  # fmt: skip
    fit(job, learned, batches, judge_of(job, learned, trial), name)
    return learned


def set_up(job: Job, trial: Trial, learner: EmbeddingLearner | None = None) -> Learned:
    """The learner set up on its backbone, or on a checkpoint's embedding, on the job's device.

    Raises UsageError where nothing is to be learned from, or the checkpoint is of another kind.
    """
    recipe = job.recipe
    learner = learner or type(job.method)(job.method.params)  # type: ignore[assignment]
    going_on = job.store.checkpoint(recipe.model.checkpoint) if recipe.model.checkpoint else None
    if recipe.train.epochs == 0 and going_on is None:
        raise UsageError("train.epochs: 0 evaluates only, which needs model.checkpoint to name a checkpoint.")
    if trial.train is None and recipe.train.epochs and not type(learner).adapts():
        raise UsageError(f"data.source: nothing is named, and {recipe.method} learns from labelled individuals.")
    spec, image_size = recipe.model.backbone, recipe.model.image_size
    cameras = sorted({item.camera for item in trial.train.items if item.camera}) if trial.train is not None else []
    if going_on is not None:
        manifest = going_on.manifest
        if manifest.task != recipe.task or not issubclass(registry.get(manifest.method), EmbeddingLearner):
            raise UsageError(
                f"model.checkpoint: {going_on.id} was made by {manifest.method}, which leaves no trained embedding. "
                "Expected one of a method of task reid that trains, such as reid/baseline."
            )
        spec, image_size = manifest.backbone["spec"], image_size or manifest.backbone["image_size"]
        if recipe.train.epochs == 0 or learner.params.side_information:
            cameras = manifest.extra["cameras"]
    backbone = registry.backbone(spec, home=job.home, image_size=image_size)
    preprocess = replace(backbone.preprocess, squash=True, aspect=recipe.data.aspect)
    told = cameras if learner.params.side_information or learner.needs_cameras else []
    classes = trial.train.classes if trial.train is not None else []
    session = setup(
        job, learner, backbone, classes, preprocess, training=recipe.train.epochs > 0,
        size=size_of(preprocess), cameras=len(told),
    )  # fmt: skip
    if going_on is not None:
        tensors = {name: tensor for name, tensor in going_on.tensors().items() if not name.startswith(TENSORS)}
        learner.load_state(tensors)
        job.events.note(f"Starts from the embedding of checkpoint {going_on.id}.")
    to_device(job, session)
    return Learned(job, session, told)


def fit(
    job: Job, learned: Learned, batches: Batches, evaluate: Callable[[], dict[str, float]], name: str = ""
) -> Progress:
    """Trains to the end; the weights are those of the epoch that eval.selection chooses."""
    progress = train(job, learned.session, batches, evaluate, "map", name)
    if progress.best is not None and job.recipe.eval.selection != "last":
        learned.session.learner.load_state(progress.best)
        job.events.note(f"The weights are those after epoch {progress.best_epoch} ({job.recipe.eval.selection}).")
    if progress.history and "map" in progress.history[0]:
        job.figure(f"curves {name}".strip(), curves_figure(progress.history))
    return progress


def judge_of(job: Job, learned: Learned, trial: Trial) -> Callable[[], dict[str, float]]:
    """What is measured after each epoch: mAP of the individuals that choose, or nothing where none does."""
    rule = job.recipe.eval.selection
    if rule in ("last", "label-free"):
        return lambda: {"score": float("-inf")}

    def judged() -> dict[str, float]:
        if rule == "oracle":
            sides = [
                Side(*learned.embed(part, what))
                for part, what in ((trial.query, "queries"), (trial.gallery, "gallery"))
            ]
        else:
            assert trial.val is not None
            sides = [Side(*learned.embed(trial.val, "validation"))] * 2
        ranking = score(*sides, job.recipe.eval, job.recipe.train.seed).ranking
        return {"map": ranking.map, "rank1": ranking.rank(1), "score": ranking.map}

    return judged


def labelled(split: Decoded) -> Decoded:
    """The images of someone; distractors are not learned from."""
    rows = np.flatnonzero(split.dataset.labels >= 0)
    return split if len(rows) == len(split.dataset) else split.part(rows)


def camera_ids(dataset: Dataset, cameras: list[str]) -> np.ndarray:
    """The index of each image's camera int64 [N], -1 where it is not among `cameras`."""
    index = index_of(cameras)
    return np.array([index.get(item.camera or "", -1) for item in dataset.items], np.int64)


def index_of(cameras: list[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(cameras)}


def size_of(preprocess: Preprocess) -> tuple[int, int]:
    """Height and width of the input in pixels."""
    return preprocess.image_size, preprocess.width
