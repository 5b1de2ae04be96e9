"""A labelling project on the desk: its images, what a classifier of the labels so far makes of them, what is next.

Features come from a frozen backbone through the feature cache. A desk may be told to embed a few images at a time, so
that a page answers at once however many there are: rules then choose among those embedded so far.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from studio.core import registry
from studio.core.errors import DataError, UsageError
from studio.core.home import Home
from studio.core.labelling import Pool, Rule
from studio.core.rights import LABELLED_HERE
from studio.data.features.cache import extract
from studio.data.files.images import BadImage, read_image, upright
from studio.data.files.limits import limits_of
from studio.data.items import Dataset, Item
from studio.data.readers.labels import dataset_of, images_of
from studio.data.specs import parse
from studio.data.writers import write
from studio.device.manager import DeviceManager
from studio.label.classifiers import committee, prototypes
from studio.label.confident import likely_wrong, out_of_fold
from studio.label.proposals import Proposal, truth_of_answer
from studio.label.truths import check_truth
from studio.runs.predict import load_checkpoint
from studio.store.labelling import Labels, Project, Truth

BACKBONE = "pip/tf_efficientnet_lite0"
RULE = "typiclust"  # what is next unless another rule is named
AHEAD = 7  # images that are chosen at a time where they are asked for one by one


@dataclass(frozen=True)
class Doubt:
    """A label that is likely wrong: what was said, what the other images say, and how likely each is, 0..1."""

    image: str
    label: str
    likelier: str
    score: float  # of the label
    likelier_score: float


@dataclass(frozen=True)
class Choice:
    """The images to be labelled next, and the rule that chose them: random where another can't begin yet."""

    images: list[str]
    rule: str


class Desk:
    """A project of whom the home is opened for."""

    def __init__(
        self, name: str, home: Home | None = None, backbone: str = BACKBONE,
        load: Callable[..., Any] = registry.backbone,
    ) -> None:  # fmt: skip
        """Raises UsageError for a project that is not there, DataError where its images can't be opened."""
        self.home = home or Home.find()
        self.project = Project(self.home, name)
        self.images: Dataset = images_of(self.project.read(), limits_of(self.home))
        self._load, self._backbone = load, backbone
        self._place = {item.name: index for index, item in enumerate(self.images.items)}
        self._features: dict[str, np.ndarray] = {}  # by the image's name, of unit length
        self._broken: set[str] = set()
        self.chosen_by = ""  # the rule that chose last: random where another could not begin
        self._ahead: dict[str, list[str]] = {}  # by rule: images that were chosen, and not yet asked for

    @property
    def labels(self) -> Labels:
        """What the project says now."""
        return self.project.read()

    def item(self, image: str) -> Item:
        """Raises UsageError for a name that none of the images has."""
        if image not in self._place:
            raise UsageError(f"labels: {self.project.name} has no image {image[:120]!r}.")
        return self.images.items[self._place[image]]

    def next(self, rule: str = RULE, count: int = 1, budget: int | None = None, past: str | None = None) -> Choice:
        """The `count` images to be labelled next; fewer where fewer wait. `past` is left out where others wait.

        At most `budget` images are embedded for it (None: all). Raises UsageError for a rule that is not there, or
        that looks at classes where boxes or masks are drawn.
        """
        chosen, labels = registry.rule_named(rule), self.labels
        if chosen.needs_classes and labels.kind != "classes":
            fitting = ", ".join(other.name for other in registry.rules() if not other.needs_classes)
            raise UsageError(f"rule: {rule} looks at classes of whole images; for {labels.kind} take {fitting}.")
        rng = np.random.default_rng(labels.acts)
        waiting = [name for name in self._waiting(labels) if name != past] or self._waiting(labels)
        names, pool = self._pool(labels, set(waiting), budget, chosen)
        if not chosen.needs_features or not pool.waiting.any() or not _may_begin(chosen, pool):
            self.chosen_by = "random"
            return Choice([waiting[row] for row in rng.permutation(len(waiting))[:count]], "random")
        self.chosen_by = rule
        return Choice([names[row] for row in chosen.pick(pool, count, rng)], rule)

    def next_one(self, rule: str = RULE, budget: int | None = None, past: str | None = None) -> str | None:
        """The next image, chosen AHEAD at a time: most rules look at all images for it. None where none waits.

        `past` was just looked at, and comes again only where no other waits. Raises UsageError as `next`.
        """
        waiting = set(self._waiting(self.labels))
        ahead = [image for image in self._ahead.get(rule, []) if image in waiting and image != past]
        if not ahead:
            ahead = self.next(rule, AHEAD, budget, past).images
        self._ahead = {rule: ahead}
        return ahead[0] if ahead else None

    def propose(
        self, image: str, checkpoint: str | None = None, model: Any = None, budget: int | None = None
    ) -> Proposal | None:
        """What a checkpoint says of an image, else what the labels so far say of it; None where nothing can be said.

        `model` is the checkpoint's where it is loaded already. At most `budget` images are embedded for it (None: all
        that are labelled). Raises UsageError where the image can't be read.
        """
        labels, item = self.labels, self.item(image)
        if checkpoint is not None or model is not None:
            model = model or load_checkpoint(checkpoint, self.home)
            try:
                answer = next(iter(model.look([read_image(item.source, image, limits=limits_of(self.home))]))).answer
            except BadImage as error:
                raise UsageError(str(error)) from error
            return truth_of_answer(answer.to_dict(1), labels)
        if labels.kind != "classes" or len({truth["label"] for truth in labels.truths.values()}) < 2:
            return None
        self._embed([image, *labels.truths], budget)
        names = [name for name in labels.truths if name in self._features]
        if image not in self._features or len({labels.truths[name]["label"] for name in names}) < 2:
            return None
        index = {name: number for number, name in enumerate(labels.classes)}
        known = np.array([index[labels.truths[name]["label"]] for name in names] + [-1])
        features = np.stack([self._features[name] for name in [*names, image]])
        answers = prototypes(features, known, len(index))[-1]
        best = int(answers.argmax())
        return Proposal({"label": labels.classes[best]}, float(answers[best]))

    def doubts(self, count: int = 50, budget: int | None = None) -> list[Doubt]:
        """Labels that are likely wrong, the likeliest first, by confident learning over out-of-fold prototypes.

        At most `budget` images are embedded for it (None: all); those that are not yet are not judged. Raises
        UsageError where images are not sorted into classes.
        """
        labels = self.labels
        if labels.kind != "classes":
            raise UsageError(
                f"labels: likely wrong ones are found among classes; {self.project.name} has {labels.kind}."
            )
        self._embed(list(labels.truths), budget)
        names = [name for name in labels.truths if name in self._features]
        index = {name: number for number, name in enumerate(labels.classes)}
        if not names:
            return []
        given = np.array([index[labels.truths[name]["label"]] for name in names])
        features = np.stack([self._features[name] for name in names])
        rows, answers = out_of_fold(features, given, len(index), prototypes)
        out = []
        for row in likely_wrong(given[rows], answers)[:count].tolist():
            label, likelier = int(given[rows[row]]), int(answers[row].argmax())
            scores = float(answers[row, label]), float(answers[row, likelier])
            out.append(Doubt(names[rows[row]], labels.classes[label], labels.classes[likelier], *scores))
        return out

    def mark(self, image: str, truth: Truth) -> None:
        """As `Project.mark`, of an image that is there, with a truth that fits it. Raises UsageError."""
        check_truth(truth, self.labels.kind, self.size(image) if "label" not in truth else None)
        self.project.mark(image, truth)

    def skip(self, image: str) -> None:
        self.item(image)
        self.project.skip(image)

    def size(self, image: str) -> tuple[int, int]:
        """Width and height of the upright image. Raises UsageError where it can't be read."""
        item = self.item(image)
        try:
            return upright(item.source, image, limits_of(self.home))[0]
        except BadImage as error:
            raise UsageError(str(error)) from error

    def dataset(self) -> Dataset:
        """What is labelled so far. Raises DataError where nothing is."""
        return dataset_of(self.labels, self.images, limits_of(self.home))

    def export(self, kind: str, folder: Path) -> list[str]:
        """Writes what is labelled so far in a format of `studio.data.writers`; the files' paths in the folder."""
        return write(self.dataset(), kind, folder)

    @property
    def spec(self) -> str:
        """What the project says now as a data spec, which stays the same while labelling goes on."""
        return f"labels:{self.project.name}?at={self.labels.acts}"

    def _waiting(self, labels: Labels) -> list[str]:
        over = {*labels.truths, *labels.skipped, *self._broken}
        return [item.name for item in self.images.items if item.name not in over]

    def _pool(self, labels: Labels, waiting: set[str], budget: int | None, rule: Rule) -> tuple[list[str], Pool]:
        """Names and features of what is embedded, with the labels so far."""
        if rule.needs_features:
            known = [name for name in labels.truths if name in self._place]
            self._embed([*known, *(name for name in self._order if name in waiting)], budget)
        names = list(self._features)
        index = {name: number for number, name in enumerate(labels.classes)}
        truths = [labels.truths.get(name) for name in names]
        known = np.array([-1 if truth is None else index.get(truth.get("label"), 0) for truth in truths], np.int64)
        features = np.stack([self._features[name] for name in names]) if names else np.empty((0, 1), np.float32)
        open_ = np.array([name in waiting for name in names], bool)
        return names, Pool(features, known, open_, lambda: committee(features, known, len(index)))

    @cached_property
    def _order(self) -> list[str]:
        """All images, shuffled: any first part of them is a fair sample."""
        names = [item.name for item in self.images.items]
        return [names[row] for row in np.random.default_rng(0).permutation(len(names))]

    def _embed(self, names: list[str], budget: int | None) -> None:
        """Features of those of `names` that have none yet, of at most `budget` of them."""
        over = self._features.keys() | self._broken
        missing = [name for name in names if name in self._place and name not in over][:budget]
        if not missing:
            return
        wanted = self.images.subset([self._place[name] for name in missing])
        with DeviceManager(self.home).lease("auto", memory_gb=1.0, interactive=True) as lease:
            backbone = self._load(self._backbone, home=self.home).to(lease.device).eval()
            features, readable = extract(wanted, backbone, home=self.home, device=lease.device)
        unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        self._features |= {item.name: row for item, row in zip(readable.items, unit, strict=True)}
        self._broken |= {name for name in missing if name not in self._features}


def start(
    name: str, spec: str, kind: str = "classes", classes: list[str] | None = None, home: Home | None = None
) -> Desk:
    """A new project over the images of a data spec, with whatever labels of this kind they bring.

    Raises UsageError where there is one of that name, DataError where the data can't be opened.
    """
    home = home or Home.find()
    if any(part.scheme == LABELLED_HERE for part in parse(spec)):
        raise DataError(f"data: {spec} is a labelling project itself. Name the data that it is over.")
    images = images_of(Labels(spec, kind, []), limits_of(home))
    known = {item.name: truth for item in images.items if (truth := _known_truth(item, images, kind, home))}
    given = [*(classes or []), *(images.classes if known else [])]
    Project.create(home, name, spec, kind, list(dict.fromkeys(given)), known)
    return Desk(name, home)


def _known_truth(item: Item, images: Dataset, kind: str, home: Home) -> Truth | None:
    if kind == "classes" and item.label >= 0:
        return {"label": images.classes[item.label]}
    if kind == "boxes" and item.boxes is not None:
        try:
            size, _ = upright(item.source, item.name, limits_of(home))
        except BadImage:
            return None
        rows = zip(item.boxes.labels.tolist(), item.boxes.xyxy.tolist(), strict=True)
        return {"size": list(size), "boxes": [[images.classes[label], *corners] for label, corners in rows]}
    return None


def _may_begin(rule: Rule, pool: Pool) -> bool:
    return not rule.needs_classes or len(np.unique(pool.labels[pool.labels >= 0])) > 1
