"""Adapting while predicting: each batch is answered and moves the network for the next, unless it must be reset."""

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from adapters.align.deep.run.judging import Look, Splits, look_at
from adapters.align.deep.run.report import on_target, show
from adapters.align.deep.test_time.disagreement import Disagreement
from studio.core.errors import StoppedByUser
from studio.core.procedure import Job, Outcome, Predictor
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize, to_input
from studio.engine.decoded import inputs
from studio.engine.session import Session, save_checkpoint

LEAST = 8  # images of a batch whose statistics say something; fewer are answered as the network is


class Stream:
    """A learner that is asked about one batch after the other; the one that is given stays as it is.

    `answered` are the images that it adapted to, `resets` counts how often it began anew.
    """

    def __init__(self, learner: Any, lr: float, least: int = LEAST) -> None:
        """A batch of fewer than `least` images is answered without adapting."""
        self.start, self.lr, self.least = learner, lr, least
        self.answered = self.resets = 0
        self.begin()

    def begin(self) -> None:
        """Goes back to the start."""
        self.learner = deepcopy(self.start)
        self.optimizer = torch.optim.Adam(self.learner.param_groups(self.lr, 0.0))
        self.disagreement = Disagreement(self.learner.params.reset)
        self.moved = False

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, D] and logits [B, C] of normalised images [B, 3, H, W], from before they move the network."""
        adapting = len(images) >= self.least
        with torch.inference_mode(False), torch.set_grad_enabled(adapting):
            images = images.clone()
            features, logits = ask(self.learner, images, adapting)
            if adapting and self.moved and self.learner.params.reset and self.astray(images, logits.detach()):
                self.resets += 1
                self.begin()
                features, logits = ask(self.learner, images, adapting)
            if adapting:
                self.answered += len(images)
                self._learn(features, logits)
        return features.detach(), logits.detach()

    def astray(self, images: Tensor, logits: Tensor) -> bool:
        """Whether the network has moved so far that these answers [B, C] are no longer to be trusted."""
        with torch.no_grad():
            unmoved = ask(self.start, images, adapting=True)[1]
        return self.disagreement.too_much(logits, unmoved)

    def _learn(self, features: Tensor, logits: Tensor) -> None:
        losses = self.learner.objective(features, logits)
        if losses:
            self.optimizer.zero_grad()
            sum(losses.values()).backward()
            self.optimizer.step()
            self.moved = True


def ask(learner: Any, images: Tensor, adapting: bool) -> tuple[Tensor, Tensor]:
    """A learner's features and logits; with the statistics of the batch where it is `adapting`."""
    learner.train_mode(adapting)
    return learner.answer(images)


class OnlinePredictor(Predictor):
    """Adapts to the images it is asked about, batch by batch; fewer than eight at once are answered as they are."""

    def __init__(self, learner: Any, classes: list[str], preprocess: Preprocess, device: str, lr: float) -> None:
        self.classes, self.preprocess, self.device = classes, preprocess, device
        self.min_side = preprocess.image_size
        self.stream = Stream(learner, lr)

    def scores(self, images: list[Image.Image]) -> np.ndarray:
        batch = torch.stack([to_input(image, self.preprocess) for image in images]).to(self.device)
        return self.stream.answer(normalize(batch, self.preprocess))[1].softmax(dim=1).cpu().numpy()

    @property
    def note(self) -> str:
        """How much it adapted, and how often that was undone."""
        title, stream = self.stream.learner.title, self.stream
        if not stream.answered:
            return (
                f"{title}: at most {LEAST - 1} images came at once, too few to adapt to; all were answered as it was."
            )
        resets = f"; back to the start {stream.resets} times, when its answers had gone astray" if stream.resets else ""
        return f"{title}: adapted to {stream.answered} images while answering{resets}."

    def module(self) -> nn.Module:
        """The network before it adapts."""
        return self.stream.start.module


def adapt_online(job: Job, session: Session, splits: Splits) -> Outcome:
    """One pass over what is scored, in a seeded order; each image is scored by its answer, before it teaches."""
    learner, part = session.learner, splits.test or splits.target
    now, before, resets = answer_stream(job, session, splits)
    known = len(session.classes)
    looks = [{"target": look, "test": look} for look in (now, before)]
    metrics = {**on_target(looks[0], splits, known), "resets": resets, "selection": "none (online)"}
    metrics["source_only_accuracy"] = on_target(looks[1], splits, known)["target_accuracy"]
    if resets:
        job.events.warning(f"Reset to the source {resets} times: the answers had gone astray (params.reset).")
    seen = Splits(None, None, part, splits.test, splits.test is not None)
    show(job, seen, session.classes, [], metrics, *looks, learner.title)
    return Outcome(metrics, save_checkpoint(job, session, metrics).id)


def answer_stream(job: Job, session: Session, splits: Splits) -> tuple[Look, Look, int]:
    """What is scored, answered while adapting and before, and how often it was reset; the learner stays as it is."""
    learner, part = session.learner, splits.test or splits.target
    before = look_at(job, learner, part, session.preprocess)
    stream = Stream(learner, job.recipe.train.lr)
    now = _answers(job, stream, part, session.preprocess)
    return now, before, stream.resets


def _answers(job: Job, stream: Stream, part: Any, preprocess: Preprocess) -> Look:
    count, size = len(part.dataset), job.recipe.train.batch_size
    order = np.random.default_rng(job.recipe.train.seed).permutation(count)
    features, logits = [], []
    for start in range(0, count, size):
        if job.should_stop():
            raise StoppedByUser(f"Stopped after {start} of {count} images.")
        rows = order[start : start + size]
        answer = stream.answer(inputs(job, part.part(rows), preprocess, slice(None)))
        for parts, one in zip((features, logits), answer, strict=True):
            parts.append(one.float().cpu().numpy())
        job.events.progress("adapting", min(start + size, count), count)
    back = np.argsort(order)
    return Look(np.concatenate(features)[back], np.concatenate(logits)[back])
