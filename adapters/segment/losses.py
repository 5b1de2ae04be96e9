"""Losses of class maps: logits [B, C, H, W] and truth uint8 [B, H, W], VOID where nothing is learned.

Each is a mean over images of a number that an image has by itself, so that a batch computed in parts gives the same
gradient. Cross-entropy is a sum over known pixels divided by all pixels, as mmseg has it.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from studio.data.masks.class_map import VOID

SURE = 0.7  # OHEM: pixels whose class has a lower probability are hard
HARDEST = 1 / 16  # of the pixels, at least, that are taken for hard
GAMMA = 2.0  # focal loss
SMOOTH = 1.0  # pixels added to both sides of the Dice ratio


def loss_of(name: str, logits: Tensor, truth: Tensor, weights: Tensor | None = None) -> dict[str, Tensor]:
    """The losses that `name` joins by +, each a mean over the images; `weights` [C] of classes, where pixels count."""
    truth = truth.long()
    return {part: LOSSES[part](logits.float(), truth, weights).mean() for part in name.split("+")}


def pixel_losses(logits: Tensor, truth: Tensor, weights: Tensor | None) -> Tensor:
    """Cross-entropy of each pixel [B, H, W]; 0 where void."""
    return cross_entropy(logits, truth, weights, ignore_index=VOID, reduction="none")


def plain(logits: Tensor, truth: Tensor, weights: Tensor | None) -> Tensor:
    """Cross-entropy [B]: mean over all pixels."""
    return pixel_losses(logits, truth, weights).mean((1, 2))


def ohem(logits: Tensor, truth: Tensor, weights: Tensor | None) -> Tensor:
    """Cross-entropy [B] of the hard pixels of each image alone: those below a probability of 0.7, a sixteenth at least.

    Shrivastava et al. 2016, Training Region-based Object Detectors with Online Hard Example Mining, for pixels.
    """
    values = pixel_losses(logits, truth, weights).flatten(1)
    plainly = pixel_losses(logits, truth, None).flatten(1).detach()
    least = max(1, round(values.shape[1] * HARDEST))
    border = plainly.topk(least, dim=1).values[:, -1:].clamp(max=-math.log(SURE))
    hard = (plainly >= border) & (plainly > 0)
    return (values * hard).sum(1) / hard.sum(1).clamp(min=1)


def focal(logits: Tensor, truth: Tensor, weights: Tensor | None) -> Tensor:
    """Cross-entropy times (1 - p)^2, [B]. Lin et al. 2017, Focal Loss for Dense Object Detection, equation 4."""
    missing = 1 - torch.exp(-pixel_losses(logits, truth, None))
    return (missing**GAMMA * pixel_losses(logits, truth, weights)).mean((1, 2))


def dice(logits: Tensor, truth: Tensor, weights: Tensor | None) -> Tensor:
    """1 - Dice of the probabilities, [B], mean over the classes that an image shows.

    Milletari et al. 2016, V-Net, section 3, without the squares of its denominator.
    """
    probabilities, real = _known(logits, truth)
    shared = (probabilities * real).sum(2)
    sizes = probabilities.sum(2) + real.sum(2)
    there = (real.sum(2) > 0).float()
    return ((1 - (2 * shared + SMOOTH) / (sizes + SMOOTH)) * there).sum(1) / there.sum(1).clamp(min=1)


def lovasz(logits: Tensor, truth: Tensor, weights: Tensor | None) -> Tensor:
    """The Lovasz extension of 1 - IoU of each image, [B], mean over the classes that it shows.

    Berman et al. 2018, The Lovasz-Softmax loss, equation 9 and algorithm 1.
    """
    probabilities, real = _known(logits, truth)
    known = (truth != VOID).flatten(1).unsqueeze(1)
    errors, order = ((real - probabilities).abs() * known).sort(dim=2, descending=True)
    ordered = real.gather(2, order)
    total = real.sum(2, keepdim=True)
    outside = (1 - ordered) * known.expand_as(ordered).gather(2, order)
    jaccard = 1 - (total - ordered.cumsum(2)) / (total + outside.cumsum(2)).clamp(min=1)
    steps = torch.cat([jaccard[..., :1], jaccard[..., 1:] - jaccard[..., :-1]], dim=2)
    there = (total.squeeze(2) > 0).float()
    return ((errors * steps).sum(2) * there).sum(1) / there.sum(1).clamp(min=1)


def _known(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and the truth as 0 or 1, each [B, C, H * W], both 0 where the truth is void."""
    known = (truth != VOID).unsqueeze(1)
    probabilities = log_softmax(logits, dim=1).exp() * known
    real = torch.zeros_like(probabilities).scatter_(1, truth.masked_fill(truth == VOID, 0).unsqueeze(1), 1.0) * known
    return probabilities.flatten(2), real.flatten(2)


LOSSES = {"cross-entropy": plain, "ohem": ohem, "focal": focal, "dice": dice, "lovasz": lovasz}


def median_frequency(pixels: Tensor) -> Tensor:
    """Weights [C] of classes from their pixels [N, C] in N images: median frequency / own frequency, 0 where nowhere.

    The frequency of a class is its share of the images that it is in. Eigen and Fergus 2015, section 6.3.2.
    """
    pixels = pixels.double()
    inside = ((pixels > 0) * pixels.sum(1, keepdim=True)).sum(0)
    frequency = pixels.sum(0) / inside.clamp(min=1)
    there = frequency > 0
    weights = frequency[there].median() / frequency.clamp(min=1e-12)
    return torch.where(there, weights, torch.zeros_like(weights)).float()
