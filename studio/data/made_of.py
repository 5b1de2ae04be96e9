"""Domains made of other images, such as digits coloured or turned: `colored:npz:digits.npz?x=images&agree=0.9`.

What follows the scheme is a spec of its own, and options that are not the maker's go with it.
"""

import re
from collections.abc import Collection, Mapping
from urllib.parse import quote

import numpy as np

from studio.core.errors import DataError
from studio.data.files.limits import Limits
from studio.data.items import Dataset

MAKERS = ("colored", "rotated")  # their files in readers/
SHARED = {"part": "1/3 takes every third image of a shuffled order from the first on", "seed": "of what is random, 0"}


def inner_spec(rest: str, options: Mapping[str, str], own: Collection[str]) -> str:
    """The spec of the images that a domain is made of."""
    left = "&".join(f"{key}={quote(value)}" for key, value in options.items() if key not in own)
    return f"{rest}?{left}" if left else rest


def originals(scheme: str, rest: str, options: Mapping[str, str], own: Collection[str], limits: Limits) -> Dataset:
    """The images that a domain is made of. Raises DataError for feature vectors, or for a spec that can't be opened."""
    from studio.data.specs import open_data

    dataset = open_data(inner_spec(rest, options, own), limits)
    if not isinstance(dataset, Dataset):
        raise DataError(f"{scheme}: {rest} holds feature vectors; expected images.")
    return dataset


def rows_of_part(scheme: str, count: int, options: Mapping[str, str]) -> np.ndarray:
    """Rows of `count` images that `part=K/N` takes: parts of one seed have no image in common. Raises DataError."""
    text = options.get("part", "1/1")
    index, parts = map(int, match.groups()) if (match := re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)) else (0, 0)
    if not 1 <= index <= parts:
        raise DataError(f"{scheme}: part is {text!r}; expected K/N with K from 1 to N, such as 2/3.")
    return np.sort(np.random.default_rng((seed_of(scheme, options), 1)).permutation(count)[index - 1 :: parts])


def seed_of(scheme: str, options: Mapping[str, str]) -> int:
    """The option `seed`. Raises DataError where it is no whole number."""
    text = options.get("seed", "0")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise DataError(f"{scheme}: seed is {text!r}; expected a whole number.")
    return int(text)


def number_of(scheme: str, options: Mapping[str, str], name: str, default: str, low: float, high: float) -> float:
    """An option's value as a number in low..high. Raises DataError."""
    text = options.get(name, default)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise DataError(f"{scheme}: {name} is {text!r}; expected a number from {low:g} to {high:g}.")
    return value
