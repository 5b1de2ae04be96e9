"""From a recipe to what is scored: photos, their features, and the episodes made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fewshot.episode_files import read_episodes
from fewshot.episodes import EpisodeSampler, EpisodeSource
from fewshot.evaluate import Pools
from studio.core.errors import DataError
from studio.core.procedure import Job
from studio.data import Dataset, Item, require_classes
from studio.data.files.digests import digests
from studio.data.items import FileSource
from studio.data.load_split import features_of
from studio.data.splits import images, relabel


@dataclass(frozen=True)
class Photos:
    """Images that could be read, and their features float32 [N, D] in the same order."""

    dataset: Dataset
    features: np.ndarray


@dataclass(frozen=True)
class Material:
    """What a run scores: episodes, and the features they are made of. `scored_on` says it in words.

    `support` and `query` are the photos that the index means (the same unless two datasets are given).
    """

    source: EpisodeSource
    pools: Pools
    support: Photos
    query: Photos
    scored_on: str


def train_and_test(job: Job, backbone: Any) -> tuple[Photos, Photos | None]:
    """The photos of data.train, and of data.test (or train's own test folder) where there are any.

    Labels of both are indices into train's classes. Raises DataError where train has fewer than two classes, or
    test has classes that train has not.
    """
    data = job.recipe.data
    if data.train is None:
        raise DataError("data.train: nothing is given; expected something like folder:photos or builtin:digits.")
    whole = images(data.train, job.home)
    train = replace(whole.part("train"), skipped=whole.skipped) if "train" in whole.splits else whole
    test = images(data.test, job.home) if data.test else whole.part("test") if "test" in whole.splits else None
    require_classes(train, 2)
    shown = photos(job, train, backbone, "train")
    if test is None:
        return shown, None
    return shown, photos(job, relabel(test, train.classes, "test"), backbone, "test")


def drawn(job: Job, train: Photos, test: Photos | None, device: str) -> Material:
    """Episodes drawn by eval.ways, .shots, .queries and train.seed: from train, or support from train and query
    from test. A photo that is there twice takes part once.
    """
    asked = job.recipe.eval
    train_labels = _once(job, train.dataset)
    test_labels = None if test is None else _once(job, test.dataset, seen=train.dataset)
    source = EpisodeSampler(
        train_labels,
        train.dataset.classes,
        ways=_ways(job, train_labels, test_labels),
        shots=asked.shots,
        queries=asked.queries,
        episodes=asked.episodes,
        seed=job.recipe.train.seed,
        query_labels=test_labels,
    )
    if source.short:
        job.events.note(
            f"{_listed(source.short)}: fewer photos than {asked.shots} shots and {asked.queries} queries; "
            "they give what they have, at least one query each."
        )
    features = torch.from_numpy(train.features).to(device)
    others = None if test is None else torch.from_numpy(test.features).to(device)
    scored_on = "episodes from train" if test is None else "episodes: support from train, query from test"
    return Material(source, Pools(features, others), train, test or train, scored_on)


def fixed(job: Job, backbone: Any, device: str) -> Material:
    """The episodes of eval.episodes_file. Raises DataError where one of its images can't be read."""
    source = read_episodes(str(job.recipe.eval.episodes_file), job.rights)
    items = [Item(str(path), -1, FileSource(path)) for path in source.paths]
    spec = f"eval.episodes_file: {job.recipe.eval.episodes_file}"
    embedded = photos(job, Dataset(spec, source.classes, items), backbone, "the episodes")
    if len(embedded.dataset) < len(items):
        broken = embedded.dataset.skipped[0]
        raise DataError(
            f"{spec}: {len(items) - len(embedded.dataset)} images can't be read, the first is {broken.name} "
            f"({broken.reason}). Fixed episodes are scored whole or not at all; mend the file or take the episode out."
        )
    return Material(
        source, Pools(torch.from_numpy(embedded.features).to(device)), embedded, embedded, "the episodes of a file"
    )


def photos(job: Job, dataset: Dataset, backbone: Any, what: str) -> Photos:
    """Features through the cache; images that can't be read are named in a warning and left out."""
    features, kept = features_of(job, dataset, backbone, what)
    return Photos(kept, features)


def files_of(dataset: Dataset) -> list[Path]:
    """Where the images lie. Raises DataError where they are no files of their own (made, or inside an archive)."""
    sources = [item.source for item in dataset.items]
    if not all(isinstance(source, FileSource) for source in sources):
        raise DataError(f"{dataset.spec}: its images are no files, so an episode file can't name them.")
    return [source.path for source in sources if isinstance(source, FileSource)]


def _once(job: Job, dataset: Dataset, seen: Dataset | None = None) -> np.ndarray:
    """Labels [N], -1 for a photo whose content came before, in this dataset or in `seen`."""
    workers = max(1, job.recipe.train.workers)
    known = set(digests([item.source for item in seen.items], job.home, workers)) if seen else set()
    labels = dataset.labels
    repeated = 0
    for number, digest in enumerate(digests([item.source for item in dataset.items], job.home, workers)):
        if digest in known:
            labels[number] = -1
            repeated += 1
        known.add(digest)
    if repeated:
        where = "the same photos again, or photos of train" if seen else "the same photos again"
        job.events.warning(f"{dataset.spec}: {repeated} of {len(dataset)} are {where}; they are in no episode.")
    return labels


def _ways(job: Job, train: np.ndarray, test: np.ndarray | None) -> int:
    """eval.ways, or all classes where it was left at its default and there are fewer."""
    asked = job.recipe.eval
    present = set(train[train >= 0])
    if test is not None:
        present &= set(test[test >= 0])
    default = type(asked).model_fields["ways"].default
    if asked.ways != default or not 2 <= len(present) < default:
        return asked.ways
    job.events.note(f"There are {len(present)} classes, so episodes have {len(present)} ways.")
    return len(present)


def _listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more classes" if len(names) > most else "")
