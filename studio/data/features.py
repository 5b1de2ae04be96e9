"""The feature cache: an image goes through a frozen backbone once, whoever asks for its features.

Features are kept by (content hash of the image, backbone hash, preprocessing, precision), as shards of
float32 that are memory-mapped. A shard is written whole under a name of its own and never changed, so
two writers can't disturb each other; what both computed is merely there twice.
"""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from studio.core.errors import StoppedByUser
from studio.core.home import Home
from studio.data.digests import digests
from studio.data.images import BadImage, read_image
from studio.data.items import Dataset, Item, Skipped
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize, to_input

BATCH = 32
SHARD = 4096  # rows a shard at most: what a kill can cost
AHEAD = 3  # batches decoded while one is computed


def extract(
    dataset: Dataset,
    backbone: Any,
    *,
    home: Home,
    device: str = "cpu",
    precision: str = "fp32",
    batch_size: int = BATCH,
    workers: int = 2,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[np.ndarray, Dataset]:
    """Features float32 [N, D] of the images that can be read, and those images.

    `backbone` has `.hash`, `.preprocess`, `.dim` and `.embed(images [B, 3, H, W]) -> [B, D]`, and is on
    `device`. Files that can't be read are dropped and named in the dataset's `skipped`. Raises
    StoppedByUser; what was computed until then is kept.
    """
    cache = Cache(cache_folder(home, backbone, precision))
    known = digests([item.source for item in dataset.items], home, workers)
    firsts: dict[str, Item] = {}
    for item, digest in zip(dataset.items, known, strict=True):
        if digest is not None and digest not in cache:
            firsts.setdefault(digest, item)
    reasons: dict[str, str] = {}
    if firsts:
        _compute(firsts, backbone, cache, reasons, device, precision, batch_size, workers, on_progress, should_stop)
    on_progress(len(dataset), len(dataset))
    return _gather(dataset, known, cache, reasons)


def embed_images(images: Sequence[Image.Image], backbone: Any, device: str = "cpu") -> np.ndarray:
    """Features float32 [N, D] of RGB images, without the cache."""
    batch = torch.stack([to_input(image, backbone.preprocess) for image in images])
    return _forward(batch, backbone, device, "fp32")


def cache_folder(home: Home, backbone: Any, precision: str) -> Path:
    """Where the features of one backbone, preprocessing and precision are kept."""
    preprocess: Preprocess = backbone.preprocess
    text = json.dumps([preprocess.to_dict(), precision], sort_keys=True)
    return home.features / f"{backbone.hash[:24]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


class Cache:
    """The shards of one folder, memory-mapped, by the content hash of the image."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: dict[str, tuple[np.ndarray, int]] = {}
        for names in sorted(folder.glob("*.json")):
            with contextlib.suppress(OSError, ValueError):  # a shard that can't be read is computed again
                self._take(json.loads(names.read_text()), np.load(names.with_suffix(".npy"), mmap_mode="r"))

    def __contains__(self, digest: str) -> bool:
        return digest in self._rows

    def row(self, digest: str) -> np.ndarray:
        shard, place = self._rows[digest]
        return shard[place]

    def add(self, names: list[str], features: np.ndarray) -> None:
        """Writes one shard: the array first, then the names that make it count."""
        self.folder.mkdir(parents=True, exist_ok=True)
        base = self.folder / f"{os.getpid()}-{secrets.token_hex(6)}"
        with open(base.with_suffix(".npy.part"), "wb") as file:
            np.save(file, features, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(base.with_suffix(".npy.part"), base.with_suffix(".npy"))
        base.with_suffix(".part").write_text(json.dumps(names))
        os.replace(base.with_suffix(".part"), base.with_suffix(".json"))
        self._take(names, features)

    def _take(self, names: list[str], shard: np.ndarray) -> None:
        if len(names) == len(shard):
            self._rows.update((name, (shard, place)) for place, name in enumerate(names))


def _compute(
    firsts: dict[str, Item],
    backbone: Any,
    cache: Cache,
    reasons: dict[str, str],
    device: str,
    precision: str,
    batch_size: int,
    workers: int,
    on_progress: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> None:
    names: list[str] = []
    parts: list[np.ndarray] = []
    done = 0

    def flush() -> None:
        if names:
            cache.add(list(names), np.concatenate(parts))
            names.clear()
            parts.clear()

    for digests_, batch in _decoded(firsts, backbone.preprocess, reasons, batch_size, workers):
        if should_stop():
            flush()
            raise StoppedByUser(f"Stopped after {done} of {len(firsts)} images; their features are kept.")
        if digests_:
            parts.append(_forward(batch, backbone, device, precision))
            names += digests_
        done += len(digests_)
        on_progress(done, len(firsts))
        if len(names) >= SHARD:
            flush()
    flush()


def _decoded(
    firsts: dict[str, Item], preprocess: Preprocess, reasons: dict[str, str], batch_size: int, workers: int
) -> Iterator[tuple[list[str], torch.Tensor]]:
    """Batches of (content hashes, uint8 [B, 3, S, S]), decoded ahead by threads."""

    def one(entry: tuple[str, Item]) -> tuple[str, torch.Tensor | None]:
        digest, item = entry
        try:
            image = read_image(item.source, item.name, min_side=preprocess.image_size)
            return digest, to_input(image, preprocess)
        except BadImage as error:
            reasons[digest] = error.reason
            return digest, None

    entries = list(firsts.items())
    chunks = [entries[start : start + batch_size] for start in range(0, len(entries), batch_size)]
    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting: list[list[Any]] = []
        for number in range(len(chunks) + AHEAD):
            if number < len(chunks):
                waiting.append([pool.submit(one, entry) for entry in chunks[number]])
            if number >= AHEAD or number >= len(chunks):
                if not waiting:
                    return
                found = [future.result() for future in waiting.pop(0)]
                good = [(digest, pixels) for digest, pixels in found if pixels is not None]
                yield [digest for digest, _ in good], torch.stack([p for _, p in good]) if good else torch.empty(0)


def _forward(batch: torch.Tensor, backbone: Any, device: str, precision: str) -> np.ndarray:
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision)
    with torch.inference_mode(), torch.autocast(device.split(":")[0], dtype=kind, enabled=kind is not None):
        images = normalize(batch.to(device), backbone.preprocess)
        return backbone.embed(images).float().cpu().numpy()


def _gather(
    dataset: Dataset, known: list[str | None], cache: Cache, reasons: dict[str, str]
) -> tuple[np.ndarray, Dataset]:
    rows, items, skipped = [], [], list(dataset.skipped)
    for item, digest in zip(dataset.items, known, strict=True):
        if digest is not None and digest in cache:
            rows.append(cache.row(digest))
            items.append(item)
        else:
            skipped.append(Skipped(item.name, reasons.get(digest or "", "it can't be read")))
    features = np.stack(rows).astype(np.float32) if rows else np.empty((0, 0), np.float32)
    return features, replace(dataset, items=items, skipped=skipped, splits={})
