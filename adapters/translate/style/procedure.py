"""How a Stylist is run: it looks at the style, trains where it must, shows what it makes of images, is kept."""

from typing import Any

import numpy as np
import torch

from adapters.translate.data.batches import LookBatches, PhotoBatches
from adapters.translate.data.decoded import Looks, decode_looks
from adapters.translate.procedure import SIGNED
from adapters.translate.run.features import Features
from adapters.translate.run.gallery import grid, show_samples
from adapters.translate.run.judging import Judge
from adapters.translate.run.report import report
from adapters.translate.run.views import View
from adapters.translate.style.base import Stylist
from adapters.translate.style.predictor import StyledImages, one_colour
from adapters.translate.task import IMAGE_SIZE
from studio.core import recipe as recipes
from studio.core.errors import DataError
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Procedure
from studio.core.registry import procedure
from studio.data.items import Dataset
from studio.data.preprocess import Preprocess
from studio.data.splits import images
from studio.engine.loop import Progress, Selection
from studio.engine.meters import Meter
from studio.engine.session import Session, restore, save_checkpoint, setup, to_device, train
from studio.store import Checkpoint

LAST = Selection("style", lower=True, last=True)
SHOWN = 4  # images that are shown after each epoch
HELD = 0.2  # share of the source that is not trained on
SEVERAL = 4  # images of both looks from which on KID says something


@procedure
class Styling(Procedure):
    """Runs and restores every Stylist."""

    task = "translate"
    face = Stylist

    def run(self, job: Job) -> Outcome:
        settings, meter, progress = job.recipe.train, Meter(job.device), Progress()
        preprocess = Preprocess(job.recipe.model.image_size or IMAGE_SIZE, 1.0, "bicubic", SIGNED, SIGNED)
        view = View.of(job.recipe.eval, job.recipe.data, preprocess.image_size)
        style = decode_style(job, view.short)
        session = setup(job, job.method, None, [], preprocess)
        to_device(job, session)
        job.method.learn_style([image.to(job.device) for image in tensors(style.images)])
        learned, held = decode_source(job, view.short)
        if job.method.trains and settings.epochs:
            progress = train_stylist(job, session, learned, style, held, view)
            meter.images = settings.batch_size * progress.step
        metrics = {**judged(job, session, held, style, view, progress), **meter.read()}
        return Outcome(metrics, save_checkpoint(job, session, metrics).id)

    def restore(self, checkpoint: Checkpoint, device: str, home: Home, store: Any) -> StyledImages:
        manifest, session = checkpoint.manifest, restore(checkpoint, device, home)
        recipe = recipes.stored({"task": manifest.task, **manifest.recipe})
        return StyledImages(session.learner, device, View.of(recipe.eval, recipe.data, session.preprocess.image_size))


def decode_style(job: Job, short: int) -> Looks:
    """The images of the style. What is of one colour is left out; raises DataError where nothing else is there."""
    whole = images(job.recipe.data.target, job.home)
    part = whole.part("train") if "train" in whole.splits else whole
    looks = decode_looks(job, part, short, "style", least=1)
    kept = [row for row, image in enumerate(looks.images) if not one_colour(image)]
    plain = [looks.dataset.items[row].name for row in range(len(looks)) if row not in kept]
    if not kept:
        raise DataError(
            f"data.target: {plain[0]} is of one colour, which is no style to learn. Expected an image with strokes, "
            "texture or at least several colours."
        )
    for name in plain:
        job.events.warning(f"left out {name}: it is of one colour, which is no style")
    return Looks([looks.images[row] for row in kept], looks.dataset.subset(kept))


def decode_source(job: Job, short: int) -> tuple[Looks | None, Looks | None]:
    """Images to learn with, and images that are held out and shown; None where none are given."""
    if job.recipe.data.source is None:
        return None, None
    whole = images(job.recipe.data.source, job.home)
    train = whole.part("train") if "train" in whole.splits else whole
    if not job.method.trains:
        held = next((whole.part(name) for name in ("test", "val") if name in whole.splits), train)
        return None, decode_looks(job, held, short, "source", least=1).first(job.recipe.eval.images)
    train, held = _held_out(train, job.recipe.train.seed)
    decoded = decode_looks(job, train, short, "source")
    return decoded, decode_looks(job, held, short, "held-out source", least=1).first(job.recipe.eval.images)


def _held_out(dataset: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    order = np.random.default_rng(seed).permutation(len(dataset))
    count = max(1, round(HELD * len(dataset)))
    if len(dataset) < 3:
        raise DataError(
            f"data.source: {dataset.spec} has {len(dataset)} images; at least three are needed to train on."
        )
    return dataset.subset(np.sort(order[count:])), dataset.subset(np.sort(order[:count]))


def train_stylist(job: Job, session: Session, learned: Looks, style: Looks, held: Looks, view: View) -> Progress:
    """Trains to the end; the same held-out images are shown after every epoch."""
    side, settings, shown = session.preprocess.image_size, job.recipe.train, held.first(SHOWN)
    several = len(session.learner.streams) > 1
    batches: Any = LookBatches(learned, style, side, settings) if several else PhotoBatches(learned, side, settings)
    epochs = 0

    def evaluate() -> dict[str, float]:
        nonlocal epochs
        made = styled_all(session, shown, view, job.device)
        show_samples(job, shown, made, epochs, settings.epochs)
        epochs += 1
        return {"style": style_loss(session, made, job.device) or 0.0}

    return train(job, session, batches, evaluate, "style", selection=LAST)


def judged(
    job: Job, session: Session, held: Looks | None, style: Looks, view: View, progress: Progress
) -> dict[str, Any]:  # fmt: skip
    """Metrics of held-out images in the style; without such images there is nothing to judge."""
    if held is None:
        job.events.note("No images were given in data.source, so nothing was judged; predict with the checkpoint.")
        return {"selection": "last"}
    made = styled_all(session, held, view, job.device)
    metrics: dict[str, Any] = {}
    if min(len(held), len(style)) >= SEVERAL:
        metrics = report(job, Judge(held, style.images, Features.of(job)), made, style.images, progress.history)
    else:
        job.figure("samples", grid(held, made, "in the style"))
    before, after = (style_loss(session, pixels, job.device) for pixels in (held.images, made))
    if before is not None and after is not None:
        metrics |= {"style_loss_before": round(before, 6), "style_loss": round(after, 6)}
    return {**metrics, "selection": "last"}


def styled_all(session: Session, looks: Looks, view: View, device: str) -> list[np.ndarray]:
    """Every image in the style, uint8 [3, h, w]."""
    predictor = StyledImages(session.learner, device, view)
    made = [predictor.styled(torch.from_numpy(np.ascontiguousarray(image))).numpy() for image in looks.images]
    session.learner.train_mode(True)
    return made


def style_loss(session: Session, made: list[np.ndarray], device: str) -> float | None:
    """The mean style loss of images uint8 [3, h, w], by the method's own measure."""
    losses = [session.learner.style_loss_of(image[None].to(device)) for image in tensors(made)]
    return None if losses[0] is None else float(torch.stack(losses).mean())


def tensors(pixels: list[np.ndarray]) -> list[torch.Tensor]:
    """Images uint8 [3, h, w] as float32 in 0..1."""
    return [torch.from_numpy(np.ascontiguousarray(image)).float() / 255 for image in pixels]
