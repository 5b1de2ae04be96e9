"""Fixed episodes in a file: anyone's few-shot benchmark can be scored, and drawn episodes can be handed on.

The format is a JSON list of `{"support": {"class": ["path", ...]}, "query": {"class": ["path", ...]}}`,
paths relative to the file.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fewshot.episodes import ChunkSize, EpisodeIndex, EpisodeSource
from studio.core.errors import DataError, UsageError
from studio.core.rights import LOCAL, Rights
from studio.data.files.annotation_files import Unreadable, read_json

_FORM = '{"support": {"class": ["path", ...]}, "query": {"class": ["path", ...]}}'


class FixedEpisodes:
    """The episodes of a file. `paths[i]` is the image that index i means; `classes` are sorted by name.

    Episodes may differ in ways, shots and queries; those of equal ways are scored together.
    """

    def __init__(self, paths: list[Path], classes: list[str], groups: list[tuple[np.ndarray, EpisodeIndex]]) -> None:
        self.paths, self.classes = paths, classes
        self._groups = groups
        self.total = sum(len(numbers) for numbers, _ in groups)

    @property
    def ways(self) -> set[int]:
        """Numbers of ways that episodes of the file have."""
        return {index.ways for _, index in self._groups}

    def chunks(self, size: ChunkSize) -> Iterator[tuple[np.ndarray, EpisodeIndex]]:
        for numbers, index in self._groups:
            columns = index.index.shape[2]
            step = size(index.ways, index.ways * index.shots, index.ways * (columns - index.shots))
            for at in range(0, len(numbers), step):
                yield numbers[at : at + step], index[at : at + step]


def read_episodes(path: str | Path, rights: Rights = LOCAL) -> FixedEpisodes:
    """Reads an episode file and sees that every image is there, and may be opened by one who asks.

    Raises DataError where the file is missing or not of the form, an episode has fewer than two classes, a query
    class has no support, an image is missing, or is both support and query of one episode.
    """
    path = Path(path)
    rights.require(path, "eval.episodes_file")
    episodes = _read_json(path)
    numbers: dict[str, int] = {}
    for at, episode in enumerate(episodes):
        _check(episode, where=f"eval.episodes_file: {path}, episode {at}")
        for side in ("support", "query"):
            for names in episode[side].values():
                for name in names:
                    numbers.setdefault(name, len(numbers))
    paths = [path.parent / name for name in numbers]
    for image in paths:
        rights.require(image, "eval.episodes_file")
    _check_present(path, episodes, {name for name, found in zip(numbers, paths, strict=True) if not found.is_file()})

    classes = sorted({name for episode in episodes for name in episode["support"]})
    by_ways: dict[int, list[int]] = {}
    for at, episode in enumerate(episodes):
        by_ways.setdefault(len(episode["support"]), []).append(at)
    groups = [(np.array(at), _index([episodes[i] for i in at], numbers, classes)) for at in by_ways.values()]
    return FixedEpisodes(paths, classes, groups)


def save_episodes(
    path: Path, source: EpisodeSource, support: Sequence[Path], query: Sequence[Path] | None = None
) -> None:
    """Writes all episodes of `source`; `support[i]` and `query[i]` are the files that the index means."""
    base = path.parent.resolve()
    support_names = [_relative(file, base) for file in support]
    query_names = support_names if query is None else [_relative(file, base) for file in query]
    episodes: list[Any] = [None] * source.total
    for numbers, index in source.chunks(lambda *_: 1024):
        for number, rows, classes in zip(numbers, index.index.tolist(), index.classes.tolist(), strict=True):
            names = [source.classes[c] for c in classes]
            k = index.shots
            episodes[number] = {
                "support": _named(names, [row[:k] for row in rows], support_names),
                "query": _named(names, [row[k:] for row in rows], query_names),
            }
    path.write_text(json.dumps(episodes, ensure_ascii=False), encoding="utf-8")


def _read_json(path: Path) -> list[Any]:
    try:
        episodes = read_json(path)
    except FileNotFoundError:
        raise DataError(f"eval.episodes_file: there is no file {path}.") from None
    except (OSError, Unreadable) as error:
        reason = error.reason if isinstance(error, Unreadable) else error.strerror
        raise DataError(f"eval.episodes_file: {path} is no readable JSON file ({reason}).") from None
    if not isinstance(episodes, list) or not episodes:
        raise DataError(f"eval.episodes_file: {path}: expected a list of episodes, each {_FORM}.")
    return episodes


def _check(episode: Any, where: str) -> None:
    if not isinstance(episode, dict) or set(episode) != {"support", "query"}:
        raise DataError(f"{where}: expected {_FORM}.")
    for side in ("support", "query"):
        if not _is_lists_of_names(episode[side]):
            raise DataError(f"{where}: {side!r} must map class names to lists of paths.")
    support, query = episode["support"], episode["query"]
    if len(support) < 2:
        raise DataError(f"{where}: found {len(support)} support classes; an episode needs at least 2.")
    empty = [name for name, names in support.items() if not names]
    if empty:
        raise DataError(f"{where}: class {empty[0]!r} has no support image.")
    unknown = sorted(set(query) - set(support))
    if unknown:
        raise DataError(f"{where}: query class {unknown[0]!r} is not among the support classes.")
    asked = {name for names in query.values() for name in names}
    if not asked:
        raise DataError(f"{where}: there is no query image.")
    both = sorted(asked & {name for names in support.values() for name in names})
    if both:
        raise DataError(f"{where}: {both[0]!r} is both support and query.")


def _is_lists_of_names(side: Any) -> bool:
    return isinstance(side, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in side.values()
    )


def _check_present(path: Path, episodes: list[Any], missing: set[str]) -> None:
    for at, episode in enumerate(episodes if missing else []):
        for side in ("support", "query"):
            for label, names in episode[side].items():
                for name in names:
                    if name in missing:
                        more = f" ({len(missing)} images are missing in all)" if len(missing) > 1 else ""
                        raise DataError(
                            f"eval.episodes_file: {path}, episode {at}: the {side} image {name!r} of class "
                            f"{label!r} is not there{more}. Paths count from the folder of the file."
                        )


def _index(episodes: list[Any], numbers: dict[str, int], classes: list[str]) -> EpisodeIndex:
    """Episodes of equal ways as one index, padded to the most shots and queries."""
    shots = max(len(names) for episode in episodes for names in episode["support"].values())
    queries = max(len(names) for episode in episodes for names in episode["query"].values())
    ways = len(episodes[0]["support"])
    index = np.full((len(episodes), ways, shots + queries), -1, dtype=np.int64)
    labels = np.empty((len(episodes), ways), dtype=np.int64)
    number_of = {name: c for c, name in enumerate(classes)}
    for t, episode in enumerate(episodes):
        for w, (label, names) in enumerate(episode["support"].items()):
            asked = episode["query"].get(label, [])
            labels[t, w] = number_of[label]
            index[t, w, : len(names)] = [numbers[name] for name in names]
            index[t, w, shots : shots + len(asked)] = [numbers[name] for name in asked]
    return EpisodeIndex(torch.from_numpy(index), torch.from_numpy(labels), shots)


def _named(classes: list[str], rows: list[list[int]], names: list[str]) -> dict[str, list[str]]:
    return {label: [names[i] for i in row if i >= 0] for label, row in zip(classes, rows, strict=True)}


def _relative(file: Path, base: Path) -> str:
    try:
        return Path(os.path.relpath(file.resolve(), base)).as_posix()
    except ValueError:  # another drive on Windows has no relative path
        raise UsageError(f"Episodes in {base} can't name {file}, which lies on another drive.") from None
