"""The film of a training: the same held-out images, translated after every epoch."""

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from adapters.translate.data.decoded import Looks
from studio.core.procedure import Job
from studio.figures.grids import grid_figure

SAMPLES = 4
GRIDS = 24  # of one training, at most


def to_image(pixels: np.ndarray) -> Image.Image:
    """uint8 [3, h, w] as an image."""
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def show_samples(job: Job, held: Looks, outputs: list[np.ndarray], epoch: int, epochs: int) -> None:
    """Draws the grid of an epoch, where it is one of those that are drawn: evenly spread, and the last."""
    every = -(-max(1, epochs) // GRIDS)
    if epoch % every and epoch != epochs:
        return
    job.figure(f"samples-{epoch:04d}", grid(held, outputs, f"epoch {epoch}"))


def grid(held: Looks, outputs: list[np.ndarray], caption: str) -> Figure:
    """The first images with what is made of them, and their pairs where there are some."""
    images, captions = [], []
    for row in range(min(SAMPLES, len(held))):
        images += [to_image(held.images[row]), to_image(outputs[row])]
        captions += [held.dataset.items[row].name, caption]
        if held.pairs:
            images.append(to_image(held.pairs[row]))
            captions.append("truth")
    return grid_figure(images, captions, columns=3 if held.pairs else 4, tile=2.2)
