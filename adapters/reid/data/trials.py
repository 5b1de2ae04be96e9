"""Trials: whose images are learned from, which ask and which answer; one trial, or several draws of a small set."""

from dataclasses import dataclass, field, replace

import numpy as np

from adapters.reid.task import ReidData, ReidEval
from studio.core.errors import DataError
from studio.core.home import Home
from studio.data.domains import TargetSet, blind
from studio.data.items import Dataset
from studio.data.splits import HELD_OUT, images, some, with_images_only
from studio.metrics.retrieval import Seen


@dataclass
class Trial:
    """`train` with identities as labels (None: nothing is learned from labels), the `target` without, who is scored.

    `query` and `gallery` share one list of identities; -1 is nobody. `known` is everyone whom a stored gallery should
    know. `val` are individuals of train's place held out, where they choose the epoch.
    """

    train: Dataset | None
    query: Dataset
    gallery: Dataset
    known: Dataset
    val: Dataset | None = None
    target: TargetSet | None = None
    notes: list[str] = field(default_factory=list)


def resolve_trials(data: ReidData, settings: ReidEval, seed: int, home: Home | None = None) -> list[Trial]:
    """The trials of a recipe.

    Raises DataError where nothing is named, the images are of no individuals, no individual to learn from has two
    images, or no query can be answered.
    """
    place = data.target or data.train or data.source
    if place is None:
        raise DataError("data.train: nothing is given; expected individuals, such as reid:cows or builtin:individuals.")
    here = individuals(place, home)
    source = individuals(data.source, home) if data.source and data.target else None
    scored = _given(data, settings, here, home)
    if scored is None:
        trials = [_drawn(here, settings, seed + number) for number in range(settings.splits)]
    else:
        query, gallery, known = scored
        learned = with_images_only(_part(here, "train"))
        trials = [Trial(learned, query, gallery, known, notes=_divided_once(settings))]
    for trial in trials:
        if data.target:
            assert trial.train is not None
            trial.target = blind(trial.train)
            trial.train = None if source is None else with_images_only(_part(source, "train"))
        if trial.train is not None:
            _require_pairs(trial.train)
            _hold_out(trial, settings, seed)
        _require_answers(trial)
    return trials


def individuals(spec: str, home: Home | None) -> Dataset:
    """The images of a spec; those of plain class folders are taken for individuals seen by unknown cameras."""
    dataset = images(spec, home)
    if dataset.boxed or dataset.masked:
        raise DataError(f"{spec} has {dataset.truth}, and no individual for each image. Expected such as reid:FOLDER.")
    if dataset.identified:
        return dataset
    return replace(dataset, items=[replace(item, camera=item.camera or "") for item in dataset.items])


def seen(*parts: Dataset) -> list[Seen]:
    """Who is in each image of the parts, and what took it; where that is not known, each image has its own camera."""
    numbers: dict[object, int] = {}
    return [
        Seen(
            part.labels,
            np.array(
                [
                    numbers.setdefault((item.domain, item.camera) if item.camera else item.source, len(numbers))
                    for item in part.items
                ],
                np.int64,
            ),
        )
        for part in parts
    ]


def _given(
    data: ReidData, settings: ReidEval, here: Dataset, home: Home | None
) -> tuple[Dataset, Dataset, Dataset] | None:
    """Query, gallery and those to know where the data say who is scored; None where that is drawn."""
    if data.query and data.gallery:
        query, gallery = _one_list(
            _part(individuals(data.query, home), "query"), _part(individuals(data.gallery, home), "gallery")
        )
        return query, gallery, gallery
    place = individuals(data.test, home) if data.test else here
    if {"query", "gallery"} <= place.splits.keys():
        query, gallery = place.part("query"), replace(place.part("gallery"), skipped=place.skipped)
        return query, gallery, gallery
    if data.test:
        query, gallery, _ = _asked(place, settings.query_cameras)
        return query, gallery, place
    return None


def _part(dataset: Dataset, split: str) -> Dataset:
    """The split of this name; the whole where it is not divided."""
    if not dataset.splits:
        return dataset
    if split not in dataset.splits:
        raise DataError(f"{dataset.spec} has {', '.join(dataset.splits)} but no {split}.")
    return replace(dataset.part(split), skipped=dataset.skipped, remarks=dataset.remarks)


def _one_list(query: Dataset, gallery: Dataset) -> tuple[Dataset, Dataset]:
    """Both with labels that are indices into the names of either."""
    names = list(dict.fromkeys([*gallery.classes, *query.classes]))
    index_of = {name: index for index, name in enumerate(names)}
    query, gallery = (
        replace(
            part,
            classes=names,
            items=[item.relabelled([index_of[name] for name in part.classes]) for item in part.items],
        )
        for part in (query, gallery)
    )
    return query, gallery


def _drawn(here: Dataset, settings: ReidEval, seed: int) -> Trial:
    """Who is learned and who is scored, by lot; each image of those asks all others, or cameras ask cameras."""
    whole = _part(here, "train")
    counts = np.bincount(whole.labels[whole.labels >= 0], minlength=len(whole.classes))
    able = np.flatnonzero(counts > 1)  # one image alone can't be found
    tested = settings.test_identities or len(able) // 2
    if len(able) < 4 or tested > len(able) - 2:
        raise DataError(
            f"{here.spec} has {len(able)} individuals with two images or more, of {int((counts > 0).sum())}; to learn "
            f"of some and score {max(2, tested)} others, at least {max(4, tested + 2)} are needed. Add images, or name "
            "who is scored with data.test, or data.query and data.gallery."
        )
    out = set(np.random.default_rng(seed).permutation(able)[:tested].tolist())
    rows = [[i for i, item in enumerate(whole.items) if (item.label in out) == wanted] for wanted in (False, True)]
    train, test = (with_images_only(whole.subset(i for i in chosen if whole.items[i].label >= 0)) for chosen in rows)
    note = (
        f"{len(test.classes)} of {len(train.classes) + len(test.classes)} individuals are scored, drawn by seed {seed}"
    )
    query, gallery, how = _asked(test, settings.query_cameras)
    return Trial(replace(train, skipped=whole.skipped), query, gallery, whole, notes=[f"{note}; {how}."])


def _asked(test: Dataset, cameras: list[str]) -> tuple[Dataset, Dataset, str]:
    """Queries and gallery of undivided images."""
    if not cameras:
        return test, test, "each image asks all others but those of its own camera"
    there = sorted({item.camera or "" for item in test.items})
    for name in cameras:
        if name not in there:
            named = ", ".join(filter(None, there[:12])) or "none, since their names are not known"
            raise DataError(f"eval.query_cameras: {test.spec} has no camera {name!r}; it has {named}.")
    asks = np.array([item.camera in cameras for item in test.items])
    if asks.all():
        raise DataError(f"eval.query_cameras: {', '.join(cameras)} are all cameras there are; none is left to answer.")
    return (
        test.subset(np.flatnonzero(asks)), test.subset(np.flatnonzero(~asks)),
        f"camera {', '.join(cameras)} asks, the others answer",
    )  # fmt: skip


def _divided_once(settings: ReidEval) -> list[str]:
    if settings.splits == 1:
        return []
    return [f"eval.splits: the data say who is scored, so there is one trial, not {settings.splits}."]


def _require_pairs(train: Dataset) -> None:
    """Raises DataError where nothing can be learned of who is the same."""
    counts = np.bincount(train.labels[train.labels >= 0], minlength=len(train.classes))
    several = int((counts > 1).sum())
    if several < 2:
        raise DataError(
            f"{train.spec}: {several} of {len(train.classes)} individuals to learn from have two images or more; "
            "at least two are needed, for one image each says nothing of what an individual keeps from image to image. "
            "Expected a folder each individual with several images."
        )


def _hold_out(trial: Trial, settings: ReidEval, seed: int) -> None:
    """Holds a fifth of the individuals to learn from out where they choose the epoch."""
    assert trial.train is not None
    if settings.selection != "source-val":
        return
    count = len(trial.train.classes)
    held = set(np.random.default_rng(seed + 1).permutation(count)[: max(2, round(HELD_OUT * count))].tolist())
    if count - len(held) < 2:
        raise DataError(f"{trial.train.spec}: of {count} individuals none can be held out. Set eval.selection to last.")
    parts = [
        with_images_only(
            trial.train.subset(i for i, item in enumerate(trial.train.items) if (item.label in held) == out)
        )
        for out in (False, True)
    ]
    trial.train, trial.val = replace(parts[0], skipped=trial.train.skipped), parts[1]
    trial.notes.append(f"Validation: {len(trial.val.classes)} of {count} individuals held out of those to learn from.")


def _require_answers(trial: Trial) -> None:
    """Notes which queries can't be answered. Raises DataError where none can, with the reason."""
    query, gallery = seen(trial.query, trial.gallery)
    cameras_of: dict[int, set[int]] = {}
    for identity, camera in zip(gallery.identities.tolist(), gallery.cameras.tolist(), strict=True):
        cameras_of.setdefault(identity, set()).add(camera)
    asked = list(zip(query.identities.tolist(), query.cameras.tolist(), strict=True))
    answered = [who >= 0 and bool(cameras_of.get(who, set()) - {camera}) for who, camera in asked]
    if not any(answered):
        raise DataError(_why_none(trial, {who for who, _ in asked}, set(cameras_of)))
    lacking = [
        trial.query.classes[who] for (who, _), good in zip(asked, answered, strict=True) if not good and who >= 0
    ]
    if lacking:
        trial.notes.append(
            f"{len(lacking)} of {len(asked)} queries, of {len(set(lacking))} individuals, have no right image in the "
            "gallery, or only of their own camera: they are left out of the scores, and count as strangers in the open "
            "set."
        )
    if not any(item.camera for item in trial.gallery.items):
        trial.notes.append(
            "No camera is named: images of one moment may be in query and gallery, and are easier than those of "
            "another camera."
        )


def _why_none(trial: Trial, asked: set[int], there: set[int]) -> str:
    """Why no query can be answered."""
    if not asked & there - {-1}:
        who = some([trial.query.classes[index] for index in sorted(asked) if index >= 0])
        return (
            f"{trial.gallery.spec}: nobody who is asked for is in the gallery. The queries show {who}; are identities "
            "named alike in query and gallery?"
        )
    cameras = sorted({item.camera for item in trial.gallery.items if item.camera})
    return (
        f"{trial.gallery.spec}: every individual is seen by one camera only (there are {some(cameras)}), and images of "
        "a query's own camera take no part. Add images from another camera; or, if these are no cameras, leave them "
        "out of the folders or of ?names=, and each image asks all others."
    )
