"""Adapting while predicting: each batch is answered and moves the network for the next, until it must be reset."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from adapters.align.deep.run.judging import Look, Splits, look_at
from adapters.align.deep.run.report import on_target, show
from studio.core.errors import StoppedByUser
from studio.core.procedure import Job, Outcome, Predictor
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize, to_input
from studio.engine.decoded import inputs
from studio.engine.session import Session, save_checkpoint

LEAST = 8  # images of a batch whose statistics say something; fewer are answered as the network is
LASTING = 0.95  # of the mean prediction that the reset looks at, a batch
SETTLED = 10  # batches before it is looked at


class Stream:
    """A learner that is asked about one batch after the other. `resets` counts how often it began anew.

    `answered` are the images that it adapted to.
    """

    def __init__(self, learner: Any, lr: float, least: int = LEAST) -> None:
        """A batch of fewer than `least` images is answered as the network is."""
        self.learner, self.lr, self.least, self.resets = learner, lr, least, 0
        self.answered = 0
        self.first = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
        self._begin()

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, D] and logits [B, C] of normalised images [B, 3, H, W], from before they move the network."""
        adapting = len(images) >= self.least
        self.learner.train_mode(adapting)
        with torch.inference_mode(False), torch.set_grad_enabled(adapting):
            features, logits = self.learner.answer(images.clone())
            losses = self.learner.objective(features, logits) if adapting else {}
            if losses:
                self.optimizer.zero_grad()
                sum(losses.values()).backward()
                self.optimizer.step()
        if adapting:
            self.answered += len(images)
            probabilities = logits.detach().softmax(dim=1)
            self._watch(probabilities.transpose(0, 1).flatten(1).mean(dim=1))
        return features.detach(), logits.detach()

    def _begin(self) -> None:
        self.optimizer = torch.optim.Adam(self.learner.param_groups(self.lr, 0.0))
        self.mean: Tensor | None = None
        self.batches = 0

    def least_spread(self, mean: Tensor) -> float:
        """Fewer classes than this, over which the mean prediction [C] of late is spread, are a collapse."""
        return max(1.05, self.learner.params.reset * len(mean))

    def _watch(self, mean: Tensor) -> None:
        """Resets where the predictions of late fall into few classes."""
        self.batches += 1
        self.mean = mean if self.mean is None else LASTING * self.mean + (1 - LASTING) * mean
        spread = float(torch.special.entr(self.mean).sum().exp())
        if self.learner.params.reset and self.batches >= SETTLED and not spread >= self.least_spread(mean):
            self.learner.module.load_state_dict(self.first)
            self.resets += 1
            self._begin()


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
        resets = f"; back to the start {stream.resets} times, when few classes were left" if stream.resets else ""
        return f"{title}: adapted to {stream.answered} images while answering{resets}."

    def module(self) -> nn.Module:
        """The network before it adapts."""
        return self.stream.learner.module


def adapt_online(job: Job, session: Session, splits: Splits) -> Outcome:
    """One pass over what is scored, in a seeded order; each image is scored by its answer, before it teaches."""
    learner, part = session.learner, splits.test or splits.target
    now, before, resets = answer_stream(job, session, splits)
    known = len(session.classes)
    looks = [{"target": look, "test": look} for look in (now, before)]
    metrics = {**on_target(looks[0], splits, known), "resets": resets, "selection": "none (online)"}
    metrics["source_only_accuracy"] = on_target(looks[1], splits, known)["target_accuracy"]
    if resets:
        job.events.warning(
            f"Reset to the source {resets} times: the predictions had fallen into few classes (params.reset)."
        )
    seen = Splits(None, None, part, splits.test, splits.test is not None)
    show(job, seen, session.classes, [], metrics, *looks, learner.title)
    return Outcome(metrics, save_checkpoint(job, session, metrics).id)


def answer_stream(job: Job, session: Session, splits: Splits) -> tuple[Look, Look, int]:
    """What is scored, answered while adapting and before, and how often it was reset; the learner ends as it began."""
    learner, part = session.learner, splits.test or splits.target
    before = look_at(job, learner, part, session.preprocess)
    stream = Stream(learner, job.recipe.train.lr)
    now = _answers(job, stream, part, session.preprocess)
    learner.module.load_state_dict(stream.first)  # a checkpoint begins where the source ended
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
