"""How a classify Learner is run: decode once, train in the one loop, report, leave a checkpoint."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from adapters.finetune.run.classifier import setup_classifier, train_classifier
from adapters.finetune.run.cross_validation import cross_validate
from adapters.finetune.run.insight import calibrate, features_now, map_features, show_where_it_looks
from adapters.finetune.run.interpolation import interpolate
from adapters.finetune.run.report import report
from studio.core.errors import UsageError
from studio.core.faces import Learner
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.registry import procedure
from studio.data import require_classes, resolve_splits
from studio.data.preprocess import Preprocess
from studio.data.splits import Splits
from studio.data.transforms import normalize, to_input
from studio.engine.decoded import MARGIN, decode_split, predict_pixels
from studio.engine.loop import Progress
from studio.engine.meters import Meter
from studio.engine.process_rank import rank
from studio.engine.session import restore, save_checkpoint
from studio.metrics.expected import INDEPENDENT, SHARED
from studio.store import Checkpoint


@procedure
class Training(Procedure):
    """Runs and restores every Learner of task classify."""

    task = "classify"
    face = Learner
    shares = True

    def run(self, job: Job) -> Outcome:
        recipe, settings = job.recipe, job.recipe.train
        if settings.epochs == 0 and recipe.model.checkpoint is None:
            raise UsageError("train.epochs: 0 evaluates only, which needs model.checkpoint to name a checkpoint.")
        splits = resolve_splits(recipe.data, settings.seed, job.home)
        require_classes(splits.train, 2)
        job.events.note(splits.note)
        if job.method.interpolates:
            return interpolate(job, splits)
        if settings.folds and settings.epochs > 0:
            return cross_validate(job, splits)
        return self._train_once(job, splits)

    def _train_once(self, job: Job, splits: Splits) -> Outcome:
        recipe, settings = job.recipe, job.recipe.train
        session = setup_classifier(job, job.method, splits.train)
        learner, preprocess = session.learner, session.preprocess
        train = decode_split(job, splits.train, preprocess, "train", MARGIN) if settings.epochs else None
        val = decode_split(job, splits.val, preprocess, "val")
        test = decode_split(job, splits.test, preprocess, "test") if splits.test is not None else None
        before = features_now(job, learner, val, preprocess)
        meter, progress = Meter(job.device), Progress()
        if train is not None:
            progress = train_classifier(job, session, train, val)
            meter.images = min(settings.batch_size, len(train.dataset)) * progress.step
        throughput = meter.read()
        if progress.best is not None and recipe.eval.selection != "last":
            learner.load_state(progress.best)
        if rank() > 0:
            return Outcome()
        map_features(job, val, before, features_now(job, learner, val, preprocess))
        show_where_it_looks(job, learner, val, preprocess)
        on_val = predict_pixels(job, learner, val, preprocess)
        scored, found = (test, predict_pixels(job, learner, test, preprocess)) if test else (val, on_val)
        unchosen = test is not None or recipe.eval.selection == "last"
        metrics = report(job, found, scored.dataset, progress.history, INDEPENDENT if unchosen else SHARED)
        metrics.update(calibrate(on_val, val.dataset.labels, found, scored.dataset.labels))
        metrics.update(throughput, selection=recipe.eval.selection, scored_on="test" if test else "val")
        if splits.near_copies:
            metrics["near_copies"] = splits.near_copies
        if progress.best_epoch >= 0:
            metrics["best_epoch"] = progress.best_epoch
        return Outcome(metrics, save_checkpoint(job, session, metrics).id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> Predictor:
        session = restore(checkpoint, device, home)
        return LearnerPredictor(session.learner, session.classes, session.preprocess, device)


class LearnerPredictor(Predictor):
    """A trained Learner, ready to look at photos."""

    def __init__(self, learner: Learner, classes: list[str], preprocess: Preprocess, device: str) -> None:
        self.learner, self.classes, self.preprocess, self.device = learner, classes, preprocess, device
        self.min_side = preprocess.image_size
        learner.train_mode(False)

    def scores(self, images: list[Image.Image]) -> np.ndarray:
        batch = torch.stack([to_input(image, self.preprocess) for image in images]).to(self.device)
        with torch.inference_mode():
            return self.learner.predict(normalize(batch, self.preprocess)).softmax(dim=1).cpu().numpy()

    def where_it_looks(self, image: Image.Image) -> tuple[str, Image.Image, np.ndarray] | None:
        seen = to_input(image, self.preprocess)
        explained = self.learner.explain(normalize(seen[None].to(self.device), self.preprocess))
        if explained is None:
            return None
        name, heat = explained
        return name, Image.fromarray(seen.permute(1, 2, 0).numpy()), heat[0].float().cpu().numpy()

    def module(self) -> nn.Module:
        return self.learner.module

    def export_module(self) -> nn.Module | None:
        """A backbone and a head alone that compute the same, for other libraries; None if there is no such form."""
        return self.learner.export_module()
