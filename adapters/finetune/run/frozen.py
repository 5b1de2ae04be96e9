"""How a classify Estimator is run: features once through a frozen backbone, solve, report, leave a checkpoint."""

from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor, nn

from adapters.finetune.run.classifier import other_classes
from adapters.finetune.run.report import report
from studio.core import registry
from studio.core.errors import UsageError
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
        backbone = _backbone(job, splits.train.classes)
        held, what = (splits.test, "test") if splits.test is not None else (splits.val, "val")
        held_x, held = features_of(job, held, backbone, what)
        meter.images = len(held)
        if recipe.train.epochs:
            x, train = features_of(job, splits.train, backbone, "train")
            job.method.fit(x, train.labels, classes=len(train.classes))
            meter.images += len(train)
        metrics = report(job, job.method.predict_proba(held_x), held, trust=INDEPENDENT)  # val chooses nothing here
        metrics.update(meter.read(), selection=recipe.eval.selection, scored_on=what)
        if splits.near_copies:
            metrics["near_copies"] = splits.near_copies
        manifest = manifest_of(job, splits.train.classes, metrics, backbone)
        return Outcome(metrics, job.store.put(manifest, job.method.state()).id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> Predictor:
        manifest = checkpoint.manifest
        cls = registry.get(manifest.method)
        estimator = cls(cls.Params(**manifest.params))
        estimator.load_state({name: np.asarray(tensor) for name, tensor in checkpoint.tensors().items()})
        backbone = registry.backbone(manifest.backbone["spec"], home=home, image_size=manifest.backbone["image_size"])
        return EstimatorPredictor(estimator, backbone.to(device), manifest.classes, device)


def _backbone(job: Job, classes: list[str]) -> Any:
    """The backbone to solve on: that of `model.checkpoint` where one is named, whose solution is loaded to evaluate it.

    Raises UsageError where there is nothing to evaluate, or what is there is another method's or of other classes.
    """
    model, evaluates = job.recipe.model, job.recipe.train.epochs == 0
    if model.checkpoint is None:
        if evaluates:
            raise UsageError("train.epochs: 0 evaluates only, which needs model.checkpoint to name a checkpoint.")
        return registry.backbone(model.backbone, home=job.home, image_size=model.image_size).to(job.device)
    checkpoint = job.store.checkpoint(model.checkpoint)
    if evaluates:
        made = checkpoint.manifest
        if made.method != job.recipe.method or made.classes != classes:
            raise UsageError(
                f"model.checkpoint: {checkpoint.id} was made by {made.method}. {other_classes(checkpoint, classes)}"
                "Only the same method and classes can be evaluated; with train.epochs above 0 its backbone gets a new "
                "head."
            )
        job.method.load_state({name: np.asarray(tensor) for name, tensor in checkpoint.tensors().items()})
    job.events.note(f"Starts from checkpoint {checkpoint.id}{'.' if evaluates else ': its backbone, with a new head.'}")
    return registry.backbone(f"store/{checkpoint.id}", home=job.home, image_size=model.image_size).to(job.device)


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
