"""Data specs: what `folder:photos` or `mat:amazon.mat?x=fts&y=labels` names is opened here.

`SCHEME:REST?option=value&option=value`; a comma joins several of one kind. The scheme is the name of a
file in `readers/`. After a bar stands what is done with the images: `folder:photos | translate:CHECKPOINT`.
"""

import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import numpy as np

from studio.core.addresses import is_remote
from studio.core.errors import DataError, nearest
from studio.core.rights import LABELLED_HERE, MADE_HERE, SAVED_HERE, Rights
from studio.data import readers
from studio.data.files.limits import LIMITS, Limits
from studio.data.items import Dataset, FeatureSet, FileSource
from studio.data.made_of import MAKERS, inner_spec
from studio.data.remote_specs import read_remote
from studio.data.translated import translated

MOST_COMMAS = 8  # in one path
BY_NAME = ("builtin", "hf", "labels", "torchvision", "version")  # whose readers say themselves what a name is
BAR = re.compile(r"\s+\|\s+")
#: what may stand after a bar: from images, a name, options and limits to images
STEPS: dict[str, Callable[..., Dataset]] = {"translate": translated}
_BY_SUFFIX = {".zip": "zip", ".npz": "npz", ".mat": "mat", ".txt": "list", ".csv": "list", ".tar": "wds"}


@dataclass(frozen=True)
class Spec:
    """One part of a spec."""

    text: str
    scheme: str
    rest: str
    options: dict[str, str]
    steps: tuple["Spec", ...] = ()  # what is done with its images, in turn


def open_data(spec: str, limits: Limits = LIMITS) -> Dataset | FeatureSet:
    """The data that `spec` names. Files that can't be used are named in `skipped`.

    Joined parts become domains of the result, their classes merged by name; a part without splits counts
    as train where another has some. Raises DataError for what is missing, malformed or unsafe, HubError
    where something must be downloaded and can't be. What may be opened, and for whom, `limits.rights` says.
    """
    parts = parse(spec)
    sets = [_open(part, limits) for part in parts]
    _refuse_too_many(spec, sets, limits)
    if len(sets) == 1:
        return sets[0]
    if all(isinstance(part, Dataset) for part in sets):
        domains = _own_domains(sets) or _domains(parts)
        if any(part.identified for part in sets):  # two sets number different individuals alike
            sets = [
                replace(part, classes=[f"{domain}/{name}" for name in part.classes])
                for part, domain in zip(sets, domains, strict=True)
            ]
        return _join_images(spec, sets, domains)
    if all(isinstance(part, FeatureSet) for part in sets):
        return _join_features(spec, sets, _domains(parts))
    raise DataError(f"data: {spec!r} joins images and feature vectors; only sets of one kind can be joined.")


def parse(spec: str) -> list[Spec]:
    """The parts of a spec. A part without a scheme has that of the first. Raises DataError."""
    texts = [text.strip() for text in _split(spec) if text.strip()]
    if not texts:
        raise DataError("data: the spec is empty; expected something like folder:photos.")
    first = _parse_one(texts[0])
    known = schemes()
    return [first] + [
        _parse_one(text if text.partition(":")[0] in known else f"{first.scheme}:{text}") for text in texts[1:]
    ]


def _split(spec: str) -> list[str]:
    """The texts between commas; a comma in the path of something that is there parts nothing."""
    pieces = spec.split(",")
    texts: list[str] = []
    while pieces:
        whole = next((count for count in range(min(len(pieces), MOST_COMMAS), 1, -1) if _is_there(pieces[:count])), 1)
        texts.append(",".join(pieces[:whole]))
        pieces = pieces[whole:]
    return texts


def _is_there(pieces: list[str]) -> bool:
    if any("?" in piece for piece in pieces[:-1]):  # options end a path
        return False
    text = ",".join(pieces).strip()
    scheme, _, rest = text.partition(":")
    try:
        return Path((rest if scheme in schemes() else text).partition("?")[0]).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # too long, no home, a NUL
        return False


@cache
def schemes() -> frozenset[str]:
    """The kinds of data there are: the files in `readers/`."""
    return frozenset(module.name for module in pkgutil.iter_modules(readers.__path__))


def _parse_one(text: str) -> Spec:
    text, *steps = BAR.split(text)
    if steps:
        return replace(_parse_one(text), text=" | ".join([text, *steps]), steps=tuple(map(_parse_step, steps)))
    scheme, colon, rest = text.partition(":")
    if is_remote(text):
        kind = _BY_SUFFIX.get(PurePosixPath(text).suffix.lower(), "folder")
        raise DataError(f"data: {text!r} says where the data are, but not of what kind. Write {kind}:{text}")
    if not colon or len(scheme) == 1 or scheme.startswith((".", "/", "~")):  # one letter is a drive, as in C:\photos
        kind = _BY_SUFFIX.get(Path(text).suffix.lower(), "folder")
        raise DataError(f"data: {text!r} does not say what kind of data it is. Write {kind}:{text}")
    if scheme not in schemes():
        raise DataError(f"data: there is no kind of data {scheme!r}.{nearest(scheme, schemes())}")
    rest, options = _with_options(rest)
    if not rest:
        raise DataError(f"data: {text!r} lacks a name or path after the colon.")
    return Spec(text, scheme, rest, options)


def _parse_step(text: str) -> Spec:
    scheme, _, rest = text.partition(":")
    rest, options = _with_options(rest)
    if scheme not in STEPS or not rest:
        raise DataError(
            f"data: {text!r} after a bar is nothing that is done with images. Expected translate:CHECKPOINT."
        )
    return Spec(text, scheme, rest, options)


def _with_options(rest: str) -> tuple[str, dict[str, str]]:
    """What stands before the question mark, and the options behind it."""
    rest, _, query = rest.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return rest, {unquote(key): unquote(value) for key, _, value in pairs}


def _open(spec: Spec, limits: Limits) -> Dataset | FeatureSet:
    _require(spec, limits.rights)
    reader = import_module(f"{readers.__name__}.{spec.scheme}")
    if reader.OPTIONS is not None:
        for option in spec.options.keys() - reader.OPTIONS.keys():
            known = nearest(option, reader.OPTIONS) or f" {spec.scheme}: has no options."
            raise DataError(f"data: {spec.text!r} has the unknown option {option!r}.{known}")
    elsewhere = is_remote(spec.rest) and spec.scheme not in BY_NAME
    read = partial(read_remote, spec.scheme) if elsewhere else reader.read
    dataset = replace(read(spec.rest, spec.options, limits), spec=spec.text)
    for item in dataset.items if isinstance(dataset, Dataset) and not limits.rights.local else ():
        if isinstance(item.source, FileSource):  # a list may name files anywhere
            limits.rights.require(item.source.path, "data")
    for step in spec.steps:
        if not isinstance(dataset, Dataset):
            raise DataError(f"data: {spec.text!r} holds feature vectors; expected images before the bar.")
        dataset = STEPS[step.scheme](dataset, step.rest, step.options, limits)
    return dataset


def require_allowed(spec: str, rights: Rights) -> None:
    """Raises DataError where one who asks may not open every part of this."""
    for part in parse(spec):
        _require(part, rights)


def _require(spec: Spec, rights: Rights) -> None:
    if not allows(spec, rights):
        raise DataError(
            f"data: {spec.text!r}: a page that is hosted for others reads data that are built in or that you have "
            "uploaded, and this is neither."
        )


def allows(spec: Spec, rights: Rights) -> bool:
    """Whether one who asks may open this part: a visitor what is built in, and files of their own uploads."""
    if rights.local or spec.scheme in (MADE_HERE, LABELLED_HERE, SAVED_HERE):
        return True
    if spec.scheme in MAKERS:  # what follows the scheme is a spec itself
        return all(allows(part, rights) for part in parse(inner_spec(spec.rest, spec.options, ())))
    paths = [Path(value) for value in spec.options.values() if _may_be_path(value)]
    return all(map(rights.may_read, [Path(spec.rest), *paths]))


def _may_be_path(value: str) -> bool:
    return any(mark in value for mark in "/\\~") or value.startswith(".") or Path(value).exists()


def _refuse_too_many(spec: str, sets: list[Dataset | FeatureSet], limits: Limits) -> None:
    count = sum(map(len, sets))
    if count > limits.images:
        raise DataError(f"data: {spec[:80]!r} has {count:,} images; {limits.images:,} are allowed.")


def _own_domains(sets: list[Dataset]) -> list[str]:
    """The name that each part gives all its images, where every part has one of its own; else none."""
    named = [{item.domain for item in part.items} for part in sets]
    names = [next(iter(names)) for names in named if len(names) == 1]
    return names if len(set(names) - {None}) == len(sets) else []


def _domains(parts: list[Spec]) -> list[str]:
    """A name for each part: the last folder of its path, and as many before it as tell the parts apart."""
    paths = [_without_suffix(part) for part in parts]
    deepest = max(len(path.parts) for path in paths)
    for depth in range(1, deepest + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [part.text.partition(":")[2] for part in parts]


def _without_suffix(part: Spec) -> PurePosixPath:
    path = PurePosixPath(part.rest.replace("\\", "/"))
    return path.with_suffix("") if path.suffix.lower() in _BY_SUFFIX else path


def _join_images(spec: str, sets: list[Dataset], domains: list[str]) -> Dataset:
    classes, index_of = _merge(sets)
    divided = any(part.splits for part in sets)
    joined = Dataset(spec, classes, [])
    for part, domain in zip(sets, domains, strict=True):
        splits = part.splits or ({"train": list(range(len(part)))} if divided else {})
        for name, members in splits.items():
            joined.splits.setdefault(name, []).extend(len(joined) + index for index in members)
        joined.skipped += [replace(skip, name=f"{domain}/{skip.name}") for skip in part.skipped]
        joined.remarks += [f"{domain}: {remark}" for remark in part.remarks]
        places = [index_of[name] for name in part.classes]
        joined.items += [
            replace(
                item.relabelled(places),
                name=f"{domain}/{item.name}",
                domain=item.domain or domain,
                camera=item.camera and f"{domain}/{item.camera}",
            )  # fmt: skip
            for item in part.items
        ]
    return joined


def _join_features(spec: str, sets: list[FeatureSet], domains: list[str]) -> FeatureSet:
    widths = {part.x.shape[1] for part in sets}
    if len(widths) > 1:
        raise DataError(f"data: {spec!r} joins feature vectors of different length: {sorted(widths)}.")
    classes, index_of = _merge(sets)
    labels = [[index_of[part.classes[label]] if label >= 0 else -1 for label in part.y] for part in sets]
    return FeatureSet(
        spec,
        classes,
        np.concatenate([part.x for part in sets]),
        np.concatenate([np.array(part, np.int64) for part in labels]),
        np.repeat(domains, [len(part) for part in sets]),
    )


def _merge(sets: list[Dataset] | list[FeatureSet]) -> tuple[list[str], dict[str, int]]:
    """Classes by name, in the order in which they are met, and their places."""
    classes = list(dict.fromkeys(name for part in sets for name in part.classes))
    return classes, {name: index for index, name in enumerate(classes)}
