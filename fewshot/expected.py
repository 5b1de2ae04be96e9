"""What a taught classifier will have on photos not yet seen, from its own support set.

Some photos of every class are left out together, so that no class is at a disadvantage for the photo it lacks, and
named by the others; again and again until each was left out often. What is lost because the others are fewer is
estimated by leaving out twice as many, with errors falling as one over the photos of a class.
"""

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from fewshot.calibrate import fold_scores
from fewshot.support import SupportSet
from studio.core.faces import EpisodeHead
from studio.metrics.expected import class_shares, expected_accuracy

SHARE = 16  # of a class's photos one in so many is left out at a time, at least one
ROUNDS = 32
MANY = 512  # photos from which one round of each is enough, and half as many more make no difference


def expected_of_support(head: EpisodeHead, support: SupportSet, learned: Collection[str] = ()) -> dict[str, float]:
    """The `expected_accuracy` metrics of a head that scores image by image; {} where no photo can be left out.

    `learned` names classes whose photos the network itself was trained on: they compete, but don't count.
    """
    features, labels = torch.from_numpy(support.features), torch.from_numpy(support.labels)
    counts = support.counts()
    judged = np.array([name not in learned for name in support.classes])
    if len(counts) < 2 or not (judged & (counts > 1)).any():
        return {}
    first = rates(head, features, labels, counts, 1)[judged]
    counts = counts[judged]
    gain = 0.0
    if len(labels) <= MANY:
        second = rates(head, features, labels, support.counts(), 2)[judged]
        known, shares, size = ~np.isnan(first), class_shares(counts), photos_out(counts, 1)
        shares = shares[known] / shares[known].sum()
        lost = max(0.0, float((shares * (first - second)[known]).sum()))
        gain = lost * float((shares * (np.maximum(counts - 2 * size, 0) / counts)[known]).sum())
    return expected_accuracy(counts, first, gain=gain)


def rates(head: EpisodeHead, features: Tensor, labels: Tensor, counts: np.ndarray, times: int) -> np.ndarray:
    """The share [C] of left-out photos of each class that the others name right; NaN where none can be left out."""
    rounds = ROUNDS if len(labels) <= MANY else SHARE
    out = torch.from_numpy(left_out(labels.numpy(), photos_out(counts, times), rounds))
    left = labels.repeat(len(out), 1).scatter(1, out, -1)
    guesses = fold_scores(head, features, left, out, len(counts)).argmax(2)
    truth = labels[out].flatten().numpy()
    asked = np.bincount(truth, minlength=len(counts))
    right = np.bincount(truth, (guesses == labels[out]).flatten().numpy(), len(counts))
    return np.divide(right, asked, out=np.full(len(counts), np.nan), where=asked > 0)


def photos_out(counts: np.ndarray, times: int) -> np.ndarray:
    """Photos of each class [C] that are left out together: a sixteenth `times`, one at least, never all."""
    return np.minimum(times * np.maximum(1, np.round(counts / SHARE).astype(int)), counts - 1)


def left_out(labels: np.ndarray, sizes: np.ndarray, rounds: int) -> np.ndarray:
    """Numbers [rounds, sum of sizes] of the photos left out: none twice in a row, each of a class about as often."""
    rng = np.random.default_rng(0)
    columns = []
    for label, size in enumerate(sizes):
        members = np.flatnonzero(labels == label)
        if size < 1:
            continue
        circle = np.arange(rounds)[:, None] * size + np.arange(size)
        turns = circle // len(members)
        orders = np.stack([rng.permutation(members) for _ in range(int(turns.max()) + 1)])
        split = turns[:, :1] != turns[:, -1:]  # a row over the end of a circle goes on in the same order
        columns.append(orders[np.where(split, turns[:, :1], turns), circle % len(members)])
    return np.concatenate(columns, axis=1)
