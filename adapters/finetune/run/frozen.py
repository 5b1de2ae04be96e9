"""How a classify Estimator is run: features once through a frozen backbone, solve, report, leave a checkpoint."""

from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor, nn

from adapters.finetune.run.report import report
from studio.core import registry
from studio.core.faces import Estimator
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.registry import procedure
from studio.data import require_classes, resolve_splits
from studio.data.features.cache import embed_images
from studio.data.load_split import features_of
from studio.engine.manifest import manifest_of
from studio.engine.meters import Meter
from studio.metrics.expected import INDEPENDENT
from studio.store import Checkpoint


@procedure
class Frozen(Procedure):
    """Runs and restores every Estimator of task classify."""

    task = "classify"
    face = Estimator

    def run(self, job: Job) -> Outcome:
        recipe = job.recipe
        splits = resolve_splits(recipe.data, recipe.train.seed, job.home)
        require_classes(splits.train, 2)
        job.events.note(splits.note)
        meter = Meter(job.device)
        backbone = registry.backbone(recipe.model.backbone, home=job.home, image_size=recipe.model.image_size)
        backbone.to(job.device)
        x, train = features_of(job, splits.train, backbone, "train")
        held, what = (splits.test, "test") if splits.test is not None else (splits.val, "val")
        held_x, held = features_of(job, held, backbone, what)
        job.method.fit(x, train.labels, classes=len(train.classes))
        metrics = report(job, job.method.predict_proba(held_x), held, trust=INDEPENDENT)  # val chooses nothing here
        meter.images = len(train) + len(held)
        metrics.update(meter.read(), selection=recipe.eval.selection, scored_on=what)
        if splits.near_copies:
            metrics["near_copies"] = splits.near_copies
        manifest = manifest_of(job, train.classes, metrics, backbone)
        return Outcome(metrics, job.store.put(manifest, job.method.state()).id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> Predictor:
        manifest = checkpoint.manifest
        cls = registry.get(manifest.method)
        estimator = cls(cls.Params(**manifest.params))
        estimator.load_state({name: np.asarray(tensor) for name, tensor in checkpoint.tensors().items()})
        backbone = registry.backbone(manifest.backbone["spec"], home=home, image_size=manifest.backbone["image_size"])
        return EstimatorPredictor(estimator, backbone.to(device), manifest.classes, device)


class EstimatorPredictor(Predictor):
    """A frozen backbone and a solved classifier."""

    def __init__(self, estimator: Estimator, backbone: Any, classes: list[str], device: str) -> None:
        self.estimator, self.backbone, self.classes, self.device = estimator, backbone, classes, device
        self.min_side = backbone.preprocess.image_size

    def scores(self, images: list[Image.Image]) -> np.ndarray:
        return self.estimator.predict_proba(embed_images(images, self.backbone, self.device))

    def module(self) -> nn.Module | None:
        build = getattr(self.estimator, "linear", None)
        return Embedded(self.backbone, build()) if build else None


class Embedded(nn.Module):
    """A classifier on the features of a backbone, as one network."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone.embed(images))
