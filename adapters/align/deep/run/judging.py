"""How a network is judged after each epoch: both domains looked at, and the number by which an epoch is kept."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import softmax

from adapters.align.deep.base import DeepLearner
from adapters.align.deep.run.collapse import classes_predicted, least_classes
from adapters.align.deep.run.scores import SCORES, USUAL, Seen, all_scores
from studio.core.procedure import Job
from studio.data.preprocess import Preprocess
from studio.engine.decoded import Decoded, inputs
from studio.store.state import load_state

SAMPLED = 500  # source images of which the importance weights learn
MAPPED = 150  # images a domain in the film of maps
JUDGED = 1000  # images of the target that are looked at after each epoch


@dataclass
class Look:
    """Features [N, D] and logits [N, C] of a split's images; what is less sure than `unknown` is guessed to be C."""

    features: np.ndarray
    logits: np.ndarray
    unknown: float | None = None

    @property
    def probabilities(self) -> np.ndarray:
        return softmax(self.logits.astype(np.float64), axis=1)

    def part(self, rows: np.ndarray) -> "Look":
        """The look at `rows`."""
        return Look(self.features[rows], self.logits[rows], self.unknown)

    @property
    def guesses(self) -> np.ndarray:
        guesses = self.logits.argmax(axis=1)
        if self.unknown is None:
            return guesses
        return np.where(self.probabilities.max(axis=1) < self.unknown, self.logits.shape[1], guesses)


@dataclass
class Splits:
    """What is looked at, decoded: the source's `train` and `val` (None without one), the `target`, the scored `test`.

    `same`: `test` has the images of `target`.
    """

    train: Decoded | None
    val: Decoded | None
    target: Decoded
    test: Decoded | None
    same: bool


def evenly(count: int, most: int) -> np.ndarray:
    """At most `most` rows of `count`, evenly spaced."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).round().astype(int)


def look_at(job: Job, learner: DeepLearner, split: Decoded, preprocess: Preprocess) -> Look:
    """The network's features and answers for a decoded split, in its order."""
    learner.train_mode(False)
    size = max(job.recipe.train.batch_size, 64)
    features, logits = [], []
    with torch.inference_mode():
        for start in range(0, len(split.dataset), size):
            answer = learner.answer(inputs(job, split, preprocess, slice(start, start + size)))
            for parts, part in zip((features, logits), answer, strict=True):
                parts.append(part.float().cpu().numpy())
    return Look(np.concatenate(features), np.concatenate(logits), job.recipe.eval.unknown)


def score_of(job: Job) -> str:
    """The label-free score by which this run chooses."""
    return job.recipe.eval.score or USUAL.get(job.method.setting, "diversity")  # type: ignore[attr-defined]


class Judge:
    """Judges a learner; `evaluate` is what the loop calls after each epoch. `name` is that of its training."""

    def __init__(
        self,
        job: Job,
        learner: DeepLearner,
        preprocess: Preprocess,
        splits: Splits,
        classes: int,
        name: str = "",
    ) -> None:
        self.job, self.learner, self.preprocess, self.splits, self.classes = job, learner, preprocess, splits, classes
        self.rule, self.score = job.recipe.eval.selection, score_of(job)
        self.epoch, self.warned = _epochs_before(job, name), False
        self.rows = evenly(len(splits.target.dataset), JUDGED)
        self.judged = splits.target.part(self.rows)
        self.scored = None if splits.test is None else splits.test.part(evenly(len(splits.test.dataset), JUDGED))
        #: where the features of each epoch are kept for the film; None where none is asked for
        self.maps = job.folder / "state" / "maps" if job.recipe.eval.film and not name else None

    @property
    def words(self) -> str:
        """The rule by which an epoch is kept, in words."""
        named = {"label-free": f"label-free: {self.score}", "oracle": "oracle (target labels)"}
        return named.get(self.rule, self.rule)

    def evaluate(self) -> dict[str, float]:
        """Numbers by name; `score` is minus infinity where the target's predictions have collapsed."""
        target = self.look(self.splits.target if self.learner.sees_whole else self.judged)
        device = next(self.learner.module.parameters()).device
        if self.learner.sees_whole:
            self.learner.see_target(*(torch.from_numpy(part).to(device) for part in (target.features, target.logits)))
            target = target.part(self.rows)
        seen = self._seen(target)
        numbers = {name.replace("-", "_"): value for name, value in all_scores(seen).items()}
        numbers["target_classes"] = classes_predicted(target.guesses, self.classes)
        if len(seen.val):
            numbers |= self._on_source()
        if self.scored is not None:
            numbers["target_accuracy"] = self._on_target(target)
        self.epoch += 1
        self._keep_map(target)
        numbers["score"] = -np.inf if self._collapsed(numbers["target_classes"]) else self._score(numbers)
        return numbers

    @property
    def mapped_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The images of the film: rows of the source's validation (none without one) and of the target."""
        val = self.splits.val
        return evenly(0 if val is None else len(val.dataset), MAPPED), self.rows[evenly(len(self.rows), MAPPED)]

    def _keep_map(self, target: Look) -> None:
        """Features [N, D] of the images of the film, in halves; they outlast a stop."""
        if self.maps is None:
            return
        parts = [] if self.splits.val is None else [self._val.features[self.mapped_rows[0]]]
        parts.append(target.features[evenly(len(self.rows), MAPPED)])
        self.maps.mkdir(parents=True, exist_ok=True)
        np.save(self.maps / f"{self.epoch:06}.npy", np.concatenate(parts).astype(np.float16))

    def look(self, split: Decoded) -> Look:
        return look_at(self.job, self.learner, split, self.preprocess)

    def label_free(self) -> float:
        """The learner's label-free score as it is now."""
        return SCORES[self.score](self._seen(self.look(self.judged)))

    def source_accuracy(self) -> float:
        """The share of the source's validation images that the learner names right as it is now."""
        return float((self.look(self.splits.val).guesses == self.splits.val.dataset.labels).mean())

    def _seen(self, target: Look) -> Seen:
        """What the scores look at; the look at the source's validation images is kept for `_on_source`."""
        train, val = self.splits.train, self.splits.val
        none = np.zeros((0, target.features.shape[1]), np.float32)
        if train is None or val is None:
            return Seen(target.features, target.probabilities, none, none[:, 0], none)
        self._val = self.look(val)
        right = (self._val.guesses == val.dataset.labels).astype(float)
        return Seen(
            target.features, target.probabilities, self._val.features, right, self.look(train).features,
            self.job.recipe.train.seed,
        )  # fmt: skip

    def _on_source(self) -> dict[str, float]:
        labels = self.splits.val.dataset.labels
        chosen = self._val.probabilities[np.arange(len(labels)), labels]
        loss = float(-np.log(np.maximum(chosen, 1e-12)).mean())
        return {"accuracy": float((self._val.guesses == labels).mean()), "loss": loss}

    def _on_target(self, target: Look) -> float:
        look = target if self.splits.same else self.look(self.scored)
        labels = self.scored.dataset.labels
        return float((look.guesses == labels)[labels >= 0].mean())

    def _score(self, numbers: dict[str, float]) -> float:
        if self.rule == "source-val":
            return numbers["accuracy"] - 1e-6 * numbers["loss"]
        if self.rule == "oracle":
            return numbers["target_accuracy"]
        return float(self.epoch) if self.rule == "last" else numbers[self.score.replace("-", "_")]

    def _collapsed(self, predicted: float) -> bool:
        least = least_classes(self.classes, self.learner.setting == "partial")
        if predicted >= least:
            return False
        if not self.warned:
            self.job.events.warning(
                f"The target's predictions have fallen into few classes: they are spread over {predicted:.1f} of "
                f"{self.classes}, fewer than {least:.1f}. Such an epoch is not kept; the last good one is."
            )
            self.warned = True
        return True


def _epochs_before(job: Job, name: str) -> int:
    """How many epochs were judged before the run was stopped, so that a resumed one counts on."""
    state = load_state(job.folder / "state" / name, on_damage=job.events.warning) if job.resume else None
    return 0 if state is None else len(state["progress"]["history"])
