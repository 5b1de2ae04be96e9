"""Adapting to images while their masks are predicted, batch by batch."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adapters.align.deep.run.collapse import spread
from adapters.align.deep.run.online import Stream
from adapters.backbones.pyramid_maps import resized
from adapters.segment.data.decoded import MaskedSplit, decode_masked, to_canvas
from adapters.segment.data.domains import scored_of
from adapters.segment.domains.base import AroundNetwork, network_of
from adapters.segment.domains.procedure import tell_beside
from adapters.segment.domains.run.report import show_change
from adapters.segment.domains.tent import TentMasks
from adapters.segment.procedure import Segmenting, look_of, setup_segmenter
from adapters.segment.run.judging import Maps, alike, class_maps, matrices_of
from adapters.segment.run.predictor import MaskPredictor
from adapters.segment.run.report import report
from adapters.segment.run.views import enlarged_maps
from studio.core import registry
from studio.core.errors import DataError, StoppedByUser, UsageError
from studio.core.home import Home
from studio.core.procedure import Job, Outcome
from studio.core.registry import procedure
from studio.data.domains import target_of
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize
from studio.engine.session import save_checkpoint
from studio.store import Checkpoint

LASTING = 0.95  # of the mean prediction that the reset looks at, a batch
SETTLED = 10  # batches before it is looked at


class PixelStream(Stream):
    """A learner that is asked about one batch of images after the other, one image at a time if need be.

    It goes back to the start where its predictions of late fall into few classes.
    """

    def __init__(self, learner: TentMasks, lr: float) -> None:
        super().__init__(learner, lr, least=1)
        self.usual: float | None = None

    def begin(self) -> None:
        super().begin()
        self.mean: Tensor | None = None
        self.batches = 0

    def astray(self, images: Tensor, logits: Tensor) -> bool:
        """Whether the mean prediction of late is spread over fewer classes than a share of what it was at first."""
        mean = logits.softmax(dim=1).mean(dim=(0, 2, 3))
        self.batches += 1
        self.mean = mean if self.mean is None else LASTING * self.mean + (1 - LASTING) * mean
        now = float(torch.special.entr(self.mean).sum().exp())
        least = 1 + self.learner.params.reset * ((self.usual or 1.0) - 1)  # one class in one image is no collapse yet
        return self.batches >= SETTLED and not now >= least

    def probabilities(self, images: Tensor, preprocess: Preprocess) -> Tensor:
        """[B, C, h, w] of images uint8 [B, 3, h, w], from before they move the network."""
        logits = self.answer(normalize(images, preprocess))[1]
        given = resized(logits.float(), images.shape[-2:]).softmax(dim=1)
        if self.usual is None:
            self.usual = spread(given.sum((0, 2, 3)).cpu().numpy())
        return given


class OnlineMasks(MaskPredictor):
    """Adapts to the images it is asked about, one after the other."""

    def __init__(self, plain: MaskPredictor, lr: float) -> None:
        super().__init__(plain.learner, plain.classes, plain.preprocess, plain.device, plain.look)
        self.stream = PixelStream(plain.learner, lr)  # type: ignore[arg-type]

    def class_map(self, image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
        pixels = to_canvas(image, self.look.short).to(self.device)
        return enlarged_maps(self.stream.probabilities(pixels[None], self.preprocess), [image.size])[0]


@procedure
class OnlineSegmentation(Segmenting):
    """Runs and restores what adapts while it predicts."""

    face = TentMasks

    def run(self, job: Job) -> Outcome:
        recipe, learner = job.recipe, job.method
        take_network(learner, job.store.checkpoint(recipe.model.checkpoint))  # type: ignore[arg-type]
        if not recipe.data.target:
            raise UsageError(f"data.target: nothing is named; {learner.id} adapts to its images.")
        _, test, where = target_of(recipe.data.target, recipe.data.test, job.home)
        classes = job.store.checkpoint(recipe.model.checkpoint).manifest.classes
        scored = scored_of(test, classes, bool(recipe.data.test), "the checkpoint")
        if scored is None:
            raise DataError(
                f"data.target: {test.spec} has no masks, and this run would only score. To adapt to images while they "
                "are predicted, run it once where there are masks, then `predict` with its checkpoint."
            )
        job.events.note(f"Adapts to {where} and is scored on them; each image is answered before it teaches.")
        session = setup_segmenter(job, classes)
        look = look_of(job, session)
        split = decode_masked(job, scored, look.short, "what is scored", own_size=True)
        before = class_maps(job, session, split, look)
        stream = PixelStream(session.learner, recipe.train.lr)
        now = _answers(job, stream, split, session.preprocess)
        metrics = report(job, split, matrices_of(split, now), now, [])
        metrics.update(selection="none (online)", scored_on="test", resets=stream.resets)
        metrics["source_only_miou"] = tell_beside(job, split, before, now, metrics)
        if stream.resets:
            job.events.warning(
                f"Reset to the source {stream.resets} times: predictions had fallen into few classes (params.reset)."
            )
        show_change(job, session, split, before, now, look)
        return Outcome(metrics, save_checkpoint(job, session, metrics).id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> OnlineMasks:
        lr = checkpoint.manifest.recipe.get("train", {}).get("lr", 0.001)
        return OnlineMasks(super().restore(checkpoint, device, home, store), lr)


def take_network(learner: TentMasks, checkpoint: Checkpoint) -> None:
    """Has the learner adapt the network of a checkpoint. Raises UsageError where it has none that can be."""
    manifest = checkpoint.manifest
    cls = registry.get(manifest.method)
    around = issubclass(cls, AroundNetwork)
    given = manifest.params if around else {"network": manifest.method, "network_params": manifest.params}
    if manifest.task != learner.task or manifest.params.get("detail"):
        raise UsageError(
            f"model.checkpoint: {checkpoint.id} was made by {manifest.method}, which {learner.id} can't adapt. "
            "Expected a network of task segment at one resolution."
        )
    named = {name: given[name] for name in ("network", "network_params")}
    learner.params = learner.Params(**{**learner.params.model_dump(), **named})
    learner.network = network_of(learner.params)


def _answers(job: Job, stream: PixelStream, split: MaskedSplit, preprocess: Preprocess) -> Maps:
    """The class maps of a split in a seeded order, each from before its batch moved the network."""
    order = np.random.default_rng(job.recipe.train.seed).permutation(len(split.images)).tolist()
    maps: dict[int, np.ndarray] = {}
    for rows in alike([split.images[row] for row in order]):
        for first in range(0, len(rows), job.recipe.train.batch_size):
            if job.should_stop():
                raise StoppedByUser(f"Stopped after {len(maps)} of {len(order)} images.")
            chosen = [order[place] for place in rows[first : first + job.recipe.train.batch_size]]
            images = torch.from_numpy(np.stack([split.images[row] for row in chosen])).to(job.device)
            given = stream.probabilities(images, preprocess)
            answers = enlarged_maps(given, [split.maps[row].shape[::-1] for row in chosen])
            maps |= {row: mask for row, (mask, _) in zip(chosen, answers, strict=True)}
            job.events.progress("adapting", len(maps), len(order))
    return maps
