"""Readers: one file for each kind of data spec. A reader is a function `read(rest, options)`.

Adding one is adding a file here and a line to SCHEMES.
"""

from dataclasses import replace
from importlib import import_module
from urllib.parse import parse_qsl

from studio.core.errors import DataError, nearest
from studio.data.items import Dataset, FeatureSet

SCHEMES = {
    "builtin": "builtin",
    "folder": "folder",
    "zip": "zipfile",
    "npz": "arrays",
    "mat": "arrays",
    "omniglot": "omniglot",
    "list": "listing",
    "torchvision": "torchvision",
    "hf": "hub",
}


def open_data(spec: str) -> Dataset | FeatureSet:
    """The data that `spec` names, such as `folder:photos` or `mat:amazon.mat?x=fts&y=labels`.

    A comma joins several of one kind; each is then a domain of the result. Raises DataError.
    """
    parts = [part.strip() for part in spec.split(",") if part.strip()]
    if not parts:
        raise DataError("data: the spec is empty; expected something like folder:photos.")
    scheme = parts[0].partition(":")[0]
    whole = [part if ":" in part and part.partition(":")[0] in SCHEMES else f"{scheme}:{part}" for part in parts]
    sets = [_open_one(part) for part in whole]
    return sets[0] if len(sets) == 1 else _join(spec, sets)


def split_spec(spec: str) -> tuple[str, str, dict[str, str]]:
    """`scheme:rest?key=value` in its parts."""
    scheme, colon, rest = spec.partition(":")
    if not colon or scheme not in SCHEMES:
        if not colon or len(scheme) == 1:  # a bare path, or C:\...
            raise DataError(f"data: {spec!r} names no kind of data. For a folder of photos write folder:{spec}")
        raise DataError(f"data: there is no kind of data {scheme!r}.{nearest(scheme, SCHEMES)}")
    rest, _, query = rest.partition("?")
    return scheme, rest, dict(parse_qsl(query, keep_blank_values=True))


def _open_one(spec: str) -> Dataset | FeatureSet:
    scheme, rest, options = split_spec(spec)
    if not rest:
        raise DataError(f"data: {spec!r} lacks a name or path after the colon.")
    reader = import_module(f"studio.data.readers.{SCHEMES[scheme]}")
    return replace(reader.read(rest, options), spec=spec)


def _join(spec: str, sets: list[Dataset | FeatureSet]) -> Dataset:
    """Several datasets as one: classes merged by name, each set a domain of its own."""
    if any(isinstance(part, FeatureSet) for part in sets):
        raise DataError(f"data: {spec!r} joins feature files; only image data can be joined.")
    classes = list(dict.fromkeys(name for part in sets for name in part.classes))
    place = {name: index for index, name in enumerate(classes)}
    items, skipped = [], []
    for part in sets:
        domain = part.spec.partition(":")[2].rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]
        for item in part.items:
            label = place[part.classes[item.label]] if item.label >= 0 else -1
            items.append(replace(item, label=label, domain=item.domain or domain, name=f"{domain}/{item.name}"))
        skipped += part.skipped
    return Dataset(spec, classes, items, skipped)
