"""The look that a run's training images are shown in (train.restyle), with the images that it is taken from."""

import numpy as np
import torch

from studio.core.procedure import Job
from studio.core.recipe import reference_spec
from studio.data.load_split import pixels_of
from studio.data.looks.restyle import Restyle
from studio.data.preprocess import Preprocess
from studio.data.splits import images

MOST = 200  # images whose look is taken; of more, so many drawn by the seed
SIDE = 256  # pixels at which they are kept


def restyle_of(job: Job) -> Restyle | None:
    """What changes the look of training images; None where they stay as they are.

    Raises DataError where the images whose look it is can't be read.
    """
    settings = job.recipe.train
    if settings.restyle == "none":
        return None
    if not settings.needs_references:
        return Restyle(settings.restyle, settings.restyle_share)
    spec = reference_spec(job.recipe)
    dataset = images(spec, job.home)
    dataset = dataset.part("train") if "train" in dataset.splits else dataset
    rows = np.random.default_rng(settings.seed).permutation(len(dataset))[:MOST]
    preprocess = Preprocess(SIDE, 1.0, "bilinear", squash=True)
    pixels, kept = pixels_of(job, dataset.subset(np.sort(rows)), preprocess, "the look of others")
    job.events.note(
        f"Training images: {settings.restyle_share:.0%} are shown in the look of {len(kept)} images of {spec}."
    )
    return Restyle(settings.restyle, settings.restyle_share, [torch.from_numpy(image) for image in np.asarray(pixels)])
