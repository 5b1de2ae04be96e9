"""An embedding: the features of a whole data set in a folder of their own, however many there are.

    embedding.json      backbone, preprocessing, precision, data, and the shards in the order of their rows
    *.shard             features by the content of the images, as in the feature cache (studio.data.features.shards)
    images.csv          image, class, row of each image that has features, in the data's order
    *.faiss             an index of the rows, where there are many (studio.data.features.neighbours)

Images are worked on in chunks. What a killed process had written is there for the next one.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import DataError, StoreError, UsageError
from studio.core.home import Home
from studio.data.features.cache import SHARD_ROWS, Forward, FrozenBackbone, add_features
from studio.data.features.neighbours import Neighbours, nearest_in
from studio.data.features.shards import Shards, map_shard
from studio.data.items import Dataset
from studio.store.files import as_json_data, clear_errors, from_json, to_json, write_atomic

FORMAT, FACTS, IMAGES, PART = 1, "embedding.json", "images.csv", ".part"


class Features:
    """Rows float32 [N, D] of several shards as one matrix; they are read from disk when they are asked for."""

    def __init__(self, parts: list[np.ndarray], dim: int) -> None:
        self._parts, self._starts = parts, np.cumsum([0, *map(len, parts)])
        self.shape = (int(self._starts[-1]), dim)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        rows = np.arange(*key.indices(len(self))) if isinstance(key, slice) else np.asarray(key, np.int64)
        out = np.empty((len(rows), self.shape[1]), np.float32)
        shard = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(shard):
            chosen = shard == number
            out[chosen] = self._parts[number][rows[chosen] - self._starts[number]]
        return out


@dataclass(frozen=True)
class Embedding:
    """A finished embedding. `facts` are those of embedding.json."""

    folder: Path
    facts: dict[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> "Embedding":
        """Raises UsageError where there is none, or it was not finished, and StoreError where it is damaged."""
        folder = Path(folder)
        if not (folder / FACTS).is_file():
            raise UsageError(f"{folder} holds no embedding; launch.py embed writes one.")
        facts = from_json(folder / FACTS)
        if facts.get("shards") is None:
            raise UsageError(f"The embedding in {folder} was not finished; give the same command again, it goes on.")
        return cls(folder, facts)

    def __len__(self) -> int:
        """Images that have features."""
        return self.facts["images"]

    @cached_property
    def features(self) -> Features:
        """Rows float32 [N, D], one for each different image. Raises StoreError where a shard is damaged."""
        parts = []
        for name, rows in self.facts["shards"]:
            try:
                part = map_shard(self.folder / name)[1]
            except (OSError, ValueError, EOFError) as error:
                raise StoreError(f"{self.folder / name} is missing or damaged; remove it and embed again.") from error
            if len(part) != rows:
                raise StoreError(f"{self.folder / name} holds {len(part)} rows, {rows} were written; embed again.")
            parts.append(part)
        return Features(parts, self.facts["dim"])

    def images(self) -> Iterator[tuple[str, str, int]]:
        """Name, class ("" without one) and row of each image, in the data's order."""
        with open(self.folder / IMAGES, encoding="utf-8", newline="") as file:
            next(lines := csv.reader(file))
            for image, label, row in lines:
                yield image, label, int(row)

    @cached_property
    def neighbours(self) -> Neighbours:
        """What finds the nearest rows; of many an index, which is built once and kept in the folder."""
        return nearest_in(self.features, self.folder)

    def nearest(self, features: np.ndarray, count: int = 10) -> list[list[dict[str, Any]]]:
        """For each of features [Q, D] the `count` nearest images, nearest first: {image, class, distance}."""
        rows, distances = self.neighbours.search(features, count)
        wanted, named = set(rows.reshape(-1).tolist()), dict[int, tuple[str, str]]()
        for image, label, row in self.images():
            if row in wanted:
                named.setdefault(row, (image, label))
        return [
            [
                {"image": named[row][0], "class": named[row][1] or None, "distance": round(float(far) ** 0.5, 6)}
                for row, far in zip(numbers, far_away, strict=True)
            ]
            for numbers, far_away in zip(rows.tolist(), distances, strict=True)
        ]


def begin(folder: Path, spec: str, backbone: FrozenBackbone, name: str, precision: str) -> None:
    """Makes the folder, or takes up one that was begun so. Raises UsageError where it holds anything else."""
    facts = as_json_data({
        "format": FORMAT, "backbone": name, "hash": backbone.hash, "preprocess": backbone.preprocess.to_dict(),
        "precision": precision, "dim": backbone.dim,
    })  # fmt: skip
    with clear_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        others = [path.name for path in folder.iterdir()]
    if FACTS in others:
        old = from_json(folder / FACTS)
        differs = next((key for key in facts if old.get(key) != facts[key]), None)
        if differs:
            raise UsageError(
                f"--out: {folder} holds features with another {differs} ({str(old.get(differs))[:60]}; now "
                f"{str(facts[differs])[:60]}). Name another folder."
            )
    elif others:
        raise UsageError(f"--out: {folder} holds other files ({others[0]}); name a new or empty folder.")
    else:
        write_atomic(folder / FACTS, to_json({**facts, "data": spec, "chunk": SHARD_ROWS, "shards": None}))


def embed_part(
    dataset: Dataset,
    folder: Path,
    backbone: FrozenBackbone,
    *,
    home: Home,
    device: str = "cpu",
    precision: str = "fp32",
    part: int = 0,
    parts: int = 1,
    workers: int = 2,
    on_progress: Callable[[int], None] = lambda images: None,
    on_note: Callable[[str], None] = lambda message: None,
) -> None:
    """Features of the images of every `parts`-th chunk, from chunk `part` on. Raises StoreError.

    `on_progress` is told how many more images are done.
    """
    forward = Forward(backbone, device, precision, on_note, len(dataset))
    shards, chunk = Shards(folder), from_json(folder / FACTS)["chunk"]
    for number in range(part, -(-len(dataset) // chunk), parts):
        items = dataset.items[number * chunk : (number + 1) * chunk]
        names, reasons = add_features(
            items, shards, lambda _: forward, home=home, workers=workers, on_progress=on_progress
        )
        rows = [
            (
                item.name, dataset.classes[item.label] if item.label >= 0 else "", name or "",
                reasons.get(name or "", "it can't be read"),
            )
            for item, name in zip(items, names, strict=True)
        ]  # fmt: skip
        write_atomic(_part_file(folder, number), json.dumps(rows).encode())


def finish(dataset: Dataset, folder: Path) -> Embedding:
    """Names the rows, once all parts are done. Raises DataError where no image had features."""
    facts = from_json(folder / FACTS)
    shards, row_of = _number_rows(folder, [name for name, _ in facts["shards"] or []])
    parts = [_part_file(folder, number) for number in range(-(-len(dataset) // facts["chunk"]))]
    table, skipped = io.StringIO(newline=""), list[tuple[str, str]]()
    writer = csv.writer(table)
    writer.writerow(["image", "class", "row"])
    for part in parts:
        for image, label, digest, reason in from_json(part):
            if digest.encode() in row_of:
                writer.writerow([image, label, row_of[digest.encode()]])
            else:
                skipped.append((image, reason))
    if len(skipped) == len(dataset):
        raise DataError(f"{dataset.spec}: none of its {len(dataset)} images can be read.")
    write_atomic(folder / IMAGES, table.getvalue().encode("utf-8", "replace"))
    facts |= {"data": dataset.spec, "images": len(dataset) - len(skipped), "skipped": skipped, "shards": shards}
    write_atomic(folder / FACTS, to_json(facts))
    for part in parts:
        part.unlink()
    return Embedding(folder, facts)


def _number_rows(folder: Path, before: list[str]) -> tuple[list[tuple[str, int]], dict[bytes, int]]:
    """Shards with how many rows they have, those of `before` first, and the row of each content hash."""
    present = sorted(path.name for path in folder.glob("*.shard"))
    shards, row_of, start = list[tuple[str, int]](), dict[bytes, int](), 0
    for name in [*(name for name in before if name in present), *(name for name in present if name not in before)]:
        try:
            digests, features = map_shard(folder / name)
        except (OSError, ValueError, EOFError):  # damaged; what it held was computed again
            (folder / name).unlink()
            continue
        for row, digest in enumerate(digests.tolist(), start):
            row_of.setdefault(digest, row)
        shards.append((name, len(features)))
        start += len(features)
    return shards, row_of


def _part_file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}{PART}"
