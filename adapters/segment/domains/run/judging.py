"""How a network is judged after each epoch: both domains looked at, and the number by which an epoch is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from adapters.align.deep.run.collapse import FEW, spread
from adapters.segment.base import Segmenter
from adapters.segment.data.decoded import MaskedSplit
from adapters.segment.run.judging import alike, confusions
from adapters.segment.run.report import only_of
from adapters.segment.run.views import Look, probabilities
from studio.core.procedure import Job
from studio.data.looks.mean_variance import match_mean_variance, statistics
from studio.data.preprocess import Preprocess
from studio.metrics.segmentation import scores_of

SURENESS = ("entropy", "diversity")  # scores that know nothing of right and wrong
HELD = {"restyled": 0.85, "target_classes": 0.95}  # the shares of source only's numbers that an epoch must hold then
JUDGED = 40  # images of each kind that are looked at after an epoch


@dataclass
class Splits:
    """What is looked at, decoded: the source's `val`, the `target` uint8 [3, h, w] each, and the scored `test`, if any.

    `spread`: over how many classes the source's pixels are spread.
    """

    val: MaskedSplit
    target: list[np.ndarray]
    test: MaskedSplit | None
    spread: float


class Judge:
    """Judges a learner; `evaluate` is what the loop calls after each epoch, and before the first."""

    def __init__(self, job: Job, learner: Segmenter, preprocess: Preprocess, look: Look, splits: Splits) -> None:
        self.job, self.learner, self.preprocess = job, learner, preprocess
        self.look = replace(look, mirror=False, scales=(1.0,))
        self.spread, self.warned = splits.spread, False
        self.val = evenly(splits.val)
        self.target = [splits.target[row] for row in evenly_spaced(len(splits.target))]
        self.restyled = restyled(self.val, self.target, job.recipe.train.seed)
        self.test = None if splits.test is None else evenly(splits.test)
        self.rule = rule_of(job)
        self.before: dict[str, float] | None = None
        if learner.starts_solved:  # source only is what adapting is compared with, and never a collapse itself
            self.before = self.label_free()
            self.spread = min(self.spread, self.before["target_classes"])

    @property
    def words(self) -> str:
        """The rule by which an epoch is kept, in words."""
        named = {"label-free": f"label-free: {self.job.recipe.eval.score}", "oracle": "oracle (target masks)"}
        return named.get(self.rule, self.rule)

    def evaluate(self) -> dict[str, float]:
        """Numbers by name; `score` is minus infinity for an epoch that is not to be kept."""
        numbers = self.label_free() | {"miou": self.miou(self.val)}
        if self.test is not None:
            numbers["target_miou"] = self.miou(self.test)
        refused = self._collapsed(numbers["target_classes"]) or self._fooled(numbers)
        numbers["score"] = -np.inf if refused else self._score(numbers)
        return numbers

    def label_free(self) -> dict[str, float]:
        """The scores that need no mask of the target, and over how many classes its pixels are spread."""
        mean, entropy, counts = pixels_of(self.job, self.learner, self.target, self.preprocess, self.look)
        whole = float(-(mean * np.log(np.maximum(mean, 1e-12))).sum())
        restyled, classes = self.miou(self.restyled), spread(counts)
        return {
            "restyled": restyled, "entropy": -entropy, "diversity": whole - entropy, "target_classes": classes,
            "restyled-spread": restyled * classes,
        }  # fmt: skip

    def miou(self, split: MaskedSplit) -> float:
        matrices = confusions(self.job, self.learner, split, self.preprocess, self.look)
        settings = self.job.recipe.eval
        value = scores_of(sum(matrices), settings.absent, only_of(settings.only, split.dataset.classes)).miou
        return value if np.isfinite(value) else 0.0

    def _score(self, numbers: dict[str, float]) -> float:
        return numbers[{"source-val": "miou", "oracle": "target_miou"}.get(self.rule, self.job.recipe.eval.score)]

    def _fooled(self, numbers: dict[str, float]) -> bool:
        """Chosen by how sure it is, but worse than source only on restyled images, or sure of fewer classes."""
        if self.rule != "label-free" or self.job.recipe.eval.score not in SURENESS or self.before is None:
            return False
        return any(numbers[name] < share * self.before[name] for name, share in HELD.items())

    def _collapsed(self, predicted: float) -> bool:
        least = 1 + FEW * (self.spread - 1)
        if predicted >= least:
            return False
        if not self.warned:
            self.job.events.warning(
                f"The target's predictions have fallen into few classes: its pixels are spread over {predicted:.2f}, "
                f"before over {self.spread:.2f}. Such an epoch is not kept; the last good one is."
            )
            self.warned = True
        return True


def rule_of(job: Job) -> str:
    """The rule by which an epoch is chosen."""
    selection = job.recipe.eval.selection
    return "label-free" if selection == "auto" else selection


def pixels_of(
    job: Job, learner: Segmenter, images: Sequence[np.ndarray], preprocess: Preprocess, look: Look
) -> tuple[np.ndarray, float, np.ndarray]:
    """Of all pixels: the mean prediction [C], the mean entropy in nats, and how many were named each class [C]."""
    learner.train_mode(False)
    means, entropies, counts, weights = [], [], 0, []
    for rows in alike(images):
        stack = torch.from_numpy(np.stack([images[row] for row in rows])).to(job.device)
        with torch.inference_mode():
            given = probabilities(learner, stack, preprocess, look)
        means.append(given.double().mean((0, 2, 3)).cpu().numpy())
        entropies.append(float(torch.special.entr(given).sum(1).double().mean()))
        counts = counts + torch.bincount(given.argmax(1).flatten(), minlength=given.shape[1]).cpu().numpy()
        weights.append(len(rows) * stack.shape[-1] * stack.shape[-2])
    return np.average(means, axis=0, weights=weights), float(np.average(entropies, weights=weights)), counts


def restyled(split: MaskedSplit, target: Sequence[np.ndarray], seed: int) -> MaskedSplit:
    """The split with each image in the colours of one of the target: its channels' mean and standard deviation."""
    chosen = np.random.default_rng(seed).integers(len(target), size=len(split.images))
    pairs = zip(split.images, chosen, strict=True)
    return replace(split, images=[_recoloured(image, target[place]) for image, place in pairs])


def _recoloured(image: np.ndarray, target: np.ndarray) -> np.ndarray:
    source, given = (torch.from_numpy(np.ascontiguousarray(one)).float() for one in (image, target))
    moved = match_mean_variance(source, *statistics([given]))
    return moved.round().clamp(0, 255).to(torch.uint8).numpy()


def evenly(split: MaskedSplit) -> MaskedSplit:
    """At most JUDGED images of a split, evenly spaced."""
    rows = evenly_spaced(len(split.images))
    images, maps = ([part[row] for row in rows] for part in (split.images, split.maps))
    return MaskedSplit(images, maps, split.counts[rows], split.dataset.subset(rows))


def evenly_spaced(count: int) -> list[int]:
    """At most JUDGED rows of `count`."""
    return list(range(count)) if count <= JUDGED else np.linspace(0, count - 1, JUDGED).round().astype(int).tolist()


def unsure(learner: Segmenter, images: Tensor, preprocess: Preprocess, look: Look) -> Tensor:
    """The entropy of each pixel as a share of log C, [B, h, w], of images uint8 [B, 3, h, w]."""
    with torch.inference_mode():
        given = probabilities(learner, images, preprocess, look)
    return torch.special.entr(given).sum(dim=1) / np.log(max(2, given.shape[1]))
