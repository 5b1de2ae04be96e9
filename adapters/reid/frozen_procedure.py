"""How a reid Estimator is run: features once through a frozen backbone, a metric solved, ranked, a gallery kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from adapters.reid.data.trials import Trial
from adapters.reid.exporters import SolvedEmbedding
from adapters.reid.run.enrolment import GalleryProcedure
from adapters.reid.run.gallery import TENSORS, Gallery
from adapters.reid.run.predictor import Calibration, Recogniser
from adapters.reid.run.trial_runs import run_trials
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import Estimator
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Predictor
from studio.core.registry import procedure
from studio.data.features.cache import embed_images
from studio.data.items import Dataset
from studio.data.load_split import features_of
from studio.data.preprocess import Preprocess
from studio.engine.manifest import manifest_of
from studio.store import Checkpoint


@procedure
class FrozenRecognition(GalleryProcedure):
    """Runs and restores every Estimator of task reid."""

    task = "reid"
    face = Estimator

    def run(self, job: Job) -> Outcome:
        model = job.recipe.model
        backbone = registry.backbone(model.backbone, home=job.home, image_size=model.image_size)
        backbone.preprocess = replace(backbone.preprocess, squash=True, aspect=job.recipe.data.aspect)
        backbone.to(job.device)
        return run_trials(job, lambda trial, name: _solve(job, backbone, trial))

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> Predictor:
        manifest = checkpoint.manifest
        if manifest.recipe.get("eval", {}).get("flip"):
            raise UsageError(f"flip: {manifest.method} keeps the features of images as they are. Leave it out.")
        cls = registry.get(manifest.method)
        estimator = cls(cls.Params(**manifest.params))
        tensors = {
            name: tensor.numpy() for name, tensor in checkpoint.tensors().items() if not name.startswith(TENSORS)
        }
        estimator.load_state(tensors)
        backbone = registry.backbone(manifest.backbone["spec"], home=home, image_size=manifest.backbone["image_size"])
        if backbone.hash != manifest.backbone["hash"]:
            raise UsageError(
                f"The backbone {manifest.backbone['spec']} is not the one that {checkpoint.id} was made with: its "
                "weights differ, and the gallery with them. Get back the package or file it came from."
            )
        backbone.preprocess = Preprocess.from_dict(manifest.preprocess)
        backbone.to(device)

        def embed(images: Sequence[Image.Image]) -> np.ndarray:
            return estimator.transform(embed_images(images, backbone, device))

        network = SolvedEmbedding(backbone, estimator.mean, estimator.weights, estimator.unit)
        return Recogniser(embed, Gallery.load(checkpoint), Calibration(**manifest.extra["calibration"]), network)


@dataclass
class Solved:
    """A metric on a frozen backbone."""

    job: Job
    backbone: Any
    estimator: Any
    before: None = None
    began: str = ""

    def embed(self, dataset: Dataset, what: str, by_camera: bool = False) -> tuple[np.ndarray, Dataset]:
        features, kept = features_of(self.job, dataset, self.backbone, what)
        return self.estimator.transform(features), kept

    def save(self, gallery: Gallery, metrics: dict[str, Any], calibration: Calibration) -> Checkpoint:
        manifest = manifest_of(
            self.job, gallery.names, metrics, self.backbone, extra={"calibration": asdict(calibration)}
        )
        return self.job.store.put(manifest, {**self.estimator.state(), **gallery.tensors()}, gallery.files())


def _solve(job: Job, backbone: Any, trial: Trial) -> Solved:
    estimator = type(job.method)(job.method.params)
    if trial.train is None:
        raise UsageError(f"data.source: nothing is named, and {job.recipe.method} learns from labelled individuals.")
    x, train = features_of(job, trial.train, backbone, "train")
    estimator.fit(x, train.labels, seed=job.recipe.train.seed)
    return Solved(job, backbone, estimator)
