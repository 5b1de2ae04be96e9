"""Answers that take no network, which every table of translation shows: what a method must be better than."""

from collections.abc import Sequence

import numpy as np
import torch

from adapters.translate.data.decoded import Looks, resized


def trivial_answers(held: Looks, target: Sequence[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Images made of `held` by name: as they are, at the mean and variance of the look, the look's mean image.

    `target` are the images of the look that are learned from, uint8 [3, h, w].
    """
    mean, deviation = statistics(target)
    average = mean_image(target)
    return {
        "the image as it is": list(held.images),
        "mean and variance of the look": [matched(image, mean, deviation) for image in held.images],
        "mean image of the look": [at_size(average, image) for image in held.images],
    }


def statistics(images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, float64 [3, 1, 1], over the pixels of all images."""
    counts = sum(image.shape[1] * image.shape[2] for image in images)
    mean = sum(image.sum(axis=(1, 2), dtype=np.float64) for image in images) / counts
    squares = sum(np.square(image, dtype=np.float64).sum(axis=(1, 2)) for image in images) / counts
    return mean[:, None, None], np.sqrt(np.maximum(squares - mean**2, 0))[:, None, None]


def matched(image: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """The image with each channel at this mean and deviation. Reinhard et al. 2001, equations 10-11, in RGB."""
    own_mean, own_deviation = statistics([image])
    values = (image - own_mean) / np.maximum(own_deviation, 1e-6) * deviation + mean
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def mean_image(images: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of all images uint8 [3, h, w], brought to the size of the first."""
    size = images[0].shape[2], images[0].shape[1]
    total = sum(resized(torch.from_numpy(image), size).numpy().astype(np.float64) for image in images)
    return np.round(total / len(images)).astype(np.uint8)


def at_size(average: np.ndarray, image: np.ndarray) -> np.ndarray:
    """An image at the size of another."""
    return resized(torch.from_numpy(average), (image.shape[2], image.shape[1])).numpy()
