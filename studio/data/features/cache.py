"""The feature cache: an image goes through a frozen backbone once, whoever asks for its features.

Features are kept by content hash of the image, backbone hash, preprocessing and precision, in `shards`.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from studio.core.errors import StoppedByUser
from studio.core.home import Home
from studio.data.features.fuse_batchnorm import folded
from studio.data.features.shards import Shards
from studio.data.files.digests import Memo, read_once
from studio.data.files.images import BadImage, read_pixels
from studio.data.files.prefetch import in_order
from studio.data.items import Dataset, Item, Skipped
from studio.data.preprocess import Preprocess
from studio.data.transforms import VERSION, Inputs, normalize, to_input
from studio.device.allocator import keep_freed_memory
from studio.device.manager import MicroBatches, TorchProbe

BATCH = 32
MANY = 64  # images for which it pays to make the backbone quicker first
AHEAD = 3  # batches decoded while one is computed
TOGETHER = 16  # images that a thread reads and decodes in one go
SHARD_ROWS, SHARD_S = 4096, 60.0  # a shard is written after so many images or seconds: what a kill can cost


class FrozenBackbone(Protocol):
    """What is asked of a backbone here; `hash` tells its weights from all others."""

    hash: str
    preprocess: Preprocess
    dim: int

    def embed(self, images: Tensor) -> Tensor:
        """Features [B, D] of normalised images float32 [B, 3, H, W]."""


def extract(
    dataset: Dataset,
    backbone: FrozenBackbone,
    *,
    home: Home,
    device: str = "cpu",
    precision: str = "fp32",
    batch_size: int = BATCH,
    workers: int = 2,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_note: Callable[[str], None] = lambda message: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[np.ndarray, Dataset]:
    """Features float32 [N, D] of the images that can be read, and those images.

    The backbone is on `device`, in eval mode. `workers` threads read and decode while it computes. Files that can't be
    read are dropped and named in the dataset's `skipped`; what the cache has is not read at all. `on_progress`
    is told how many images are done, of how many. `on_note` is told when memory was full and batches got smaller.
    Raises StoppedByUser (what was computed until then is kept), and StoreError where the disk refuses.
    """
    shards, done = Shards(cache_folder(home, backbone, precision)), 0

    def count(images: int) -> None:
        nonlocal done
        done += images
        on_progress(done, len(dataset))

    names, reasons = add_features(
        dataset.items, shards, lambda images: Forward(backbone, device, precision, on_note, images), home=home,
        batch_size=batch_size, workers=workers, on_progress=count, should_stop=should_stop,
    )  # fmt: skip
    return _gather(dataset, names, shards, reasons, backbone.dim)


def add_features(
    items: Sequence[Item],
    shards: Shards,
    forward_for: Callable[[int], "Forward"],
    *,
    home: Home,
    batch_size: int = BATCH,
    workers: int = 2,
    on_progress: Callable[[int], None] = lambda images: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[list[str | None], dict[str, str]]:
    """Puts the features of images into `shards`, those that are there left out; tells how many more are done.

    `forward_for` is asked once for what computes those of so many.
    Returns the content hash of each image, None where it can't be read at all, and by hash the reasons why some have no
    features. Raises StoppedByUser, and StoreError where the disk refuses; what was computed until then is kept.
    """
    memo = Memo([item.source for item in items], home)
    names, reasons = list(memo.known), dict[str, str]()
    fresh = [index for index, name in enumerate(names) if name is None or name not in shards]
    on_progress(len(items) - len(fresh))
    keeping, order, forward = _Keeping(shards), iter(fresh), forward_for(len(fresh))
    try:
        given = [(names[index], items[index]) for index in fresh]
        for batch in _batches(given, shards, forward.backbone.preprocess, batch_size, workers):
            for index, name in zip(islice(order, len(batch.names)), batch.names, strict=True):
                if names[index] is None:
                    memo.note(index, name)
                names[index] = name
            reasons |= batch.reasons
            rows = {name: row for row, name in enumerate(batch.digests) if name not in keeping}
            if rows:
                new = batch.pixels if len(rows) == len(batch.pixels) else batch.pixels[list(rows.values())]
                keeping.add(rows, forward(new))
            on_progress(len(batch.names))
            if should_stop():
                raise StoppedByUser(
                    f"Stopped after {keeping.count} of {len(fresh)} new images; their features are kept."
                )
    finally:
        keeping.write()
        memo.write()
    return names, reasons


def embed_images(images: Sequence[Image.Image], backbone: FrozenBackbone, device: str = "cpu") -> np.ndarray:
    """Features float32 [N, D] of RGB images, without the cache."""
    forward = Forward(backbone, device)
    pixels = [to_input(image, backbone.preprocess) for image in images]
    parts = [forward(torch.stack(pixels[start : start + BATCH])) for start in range(0, len(pixels), BATCH)]
    return np.concatenate(parts) if parts else np.empty((0, backbone.dim), np.float32)


def cache_folder(home: Home, backbone: FrozenBackbone, precision: str) -> Path:
    """Where the features of one backbone, preprocessing and precision are kept."""
    text = json.dumps([VERSION, backbone.preprocess.to_dict(), precision], sort_keys=True)
    return home.features / f"{backbone.hash[:24]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


class Forward:
    """From uint8 [B, 3, H, W] to features float32 [B, D]; in smaller parts once the device's memory was full.

    Of many `images` on a CPU it pays to make the backbone quicker before the first.
    """

    def __init__(
        self,
        backbone: FrozenBackbone,
        device: str,
        precision: str = "fp32",
        on_note: Callable[[str], None] = lambda message: None,
        images: int = 0,
    ) -> None:
        self.backbone, self.device = backbone, device
        self.dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision)
        self._folds = device == "cpu" and precision == "fp32" and images >= MANY
        self._micro = MicroBatches(TorchProbe(), device, on_note)
        if device == "cpu":
            keep_freed_memory()

    @cached_property
    def _network(self) -> FrozenBackbone:
        return folded(self.backbone) if self._folds else self.backbone

    def __call__(self, batch: Tensor) -> np.ndarray:
        return np.concatenate(self._micro.run(len(batch), lambda part, share: self._part(batch[part])))

    def _part(self, batch: Tensor) -> np.ndarray:
        kind = self.device.split(":")[0]
        with torch.inference_mode(), torch.autocast(kind, self.dtype, enabled=self.dtype is not None):
            images = normalize(batch.to(self.device), self.backbone.preprocess)
            return self._network.embed(images).float().cpu().numpy()


@dataclass
class _Keeping:
    """Gathers features into shards of a good size."""

    shards: Shards
    count: int = 0
    _names: dict[str, None] = field(default_factory=dict)  # in order
    _parts: list[np.ndarray] = field(default_factory=list)
    _written: float = field(default_factory=time.monotonic)

    def __contains__(self, name: str) -> bool:
        return name in self._names or name in self.shards

    def add(self, names: Iterable[str], features: np.ndarray) -> None:
        self._names |= dict.fromkeys(names)
        self._parts.append(features)
        self.count += len(features)
        if len(self._names) >= SHARD_ROWS or time.monotonic() - self._written > SHARD_S:
            self.write()

    def write(self) -> None:
        if self._names:
            self.shards.add(list(self._names), np.concatenate(self._parts))
            self._names, self._parts = {}, []
        self._written = time.monotonic()


@dataclass(frozen=True)
class _Batch:
    """Images as they were read: the content hash of each (None where it can't be read), and what became of them."""

    names: list[str | None]
    digests: list[str]  # of the rows of `pixels`
    pixels: Tensor  # uint8 [n, 3, S, S]
    reasons: dict[str, str]  # by hash, why the others can't be decoded


def _batches(
    given: Sequence[tuple[str | None, Item]], shards: Shards, preprocess: Preprocess, batch_size: int, workers: int
) -> Iterator[_Batch]:
    """Images, each with its content hash where that is known, in order; read and decoded ahead by threads."""
    together = min(TOGETHER, batch_size)
    groups = (given[start : start + together] for start in range(0, len(given), together))
    with ThreadPoolExecutor(max(1, workers)) as pool:
        parts = in_order(pool, lambda group: _read(group, shards, preprocess), groups, AHEAD * batch_size // together)
        for joined in iter(lambda: list(islice(parts, batch_size // together)), []):
            yield _Batch(
                [name for part in joined for name in part.names],
                [digest for part in joined for digest in part.digests],
                torch.cat([part.pixels for part in joined]),
                {name: reason for part in joined for name, reason in part.reasons.items()},
            )


def _read(group: Sequence[tuple[str | None, Item]], shards: Shards, preprocess: Preprocess) -> _Batch:
    names, digests, reasons = [], [], {}
    inputs = Inputs(preprocess)
    for known, item in group:
        try:
            name, content = (known, item.source.read()) if known else read_once(item.source, shards)
        except OSError:
            names.append(known)
            continue
        names.append(name)
        if content is None:
            continue
        try:
            inputs.add(read_pixels(content, item.name, preprocess.image_size))
            digests.append(name)
        except BadImage as error:
            reasons[name] = error.reason
    return _Batch(names, digests, inputs.tensor(), reasons)


def _gather(
    dataset: Dataset, names: list[str | None], shards: Shards, reasons: dict[str, str], dim: int
) -> tuple[np.ndarray, Dataset]:
    """Features and the images that have some; the others are named in `skipped`."""
    kept = [(item, name) for item, name in zip(dataset.items, names, strict=True) if name in shards]
    features = np.empty((len(kept), dim), np.float32)
    for row, (_, name) in enumerate(kept):
        features[row] = shards.row(name)
    skipped = [
        Skipped(item.name, reasons.get(name, "it can't be read") if name else "it can't be read")
        for item, name in zip(dataset.items, names, strict=True)
        if name not in shards
    ]
    return features, replace(dataset, items=[item for item, _ in kept], skipped=[*dataset.skipped, *skipped], splits={})
