"""The feature cache: an image goes through a frozen backbone once, whoever asks for its features.

Features are kept by content hash of the image, backbone hash, preprocessing and precision, in `shards`.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
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
from studio.data.files.digests import digests
from studio.data.files.images import BadImage, read_image
from studio.data.files.prefetch import in_order
from studio.data.items import Dataset, Item, Skipped
from studio.data.preprocess import Preprocess
from studio.data.transforms import VERSION, normalize, to_input
from studio.device.allocator import keep_freed_memory
from studio.device.manager import MicroBatches, TorchProbe

BATCH = 32
MANY = 64  # images for which it pays to make the backbone quicker first
AHEAD = 3  # batches decoded while one is computed
TOGETHER = 8  # images that a thread decodes in one go
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

    The backbone is on `device`, in eval mode. `workers` threads decode while it computes. Files that can't be
    read are dropped and named in the dataset's `skipped`; what the cache has is not read at all. `on_progress`
    is told how many different images have features, of how many. `on_note` is told when memory was full and
    batches got smaller. Raises StoppedByUser (what was computed until then is kept), and StoreError where the
    disk refuses.
    """
    names = digests([item.source for item in dataset.items], home, workers, should_stop)
    shards = Shards(cache_folder(home, backbone, precision))
    wanted = {name: item for name, item in zip(names, dataset.items, strict=True) if name is not None}
    missing = {name: item for name, item in wanted.items() if name not in shards}
    cached = len(wanted) - len(missing)
    reasons: dict[str, str] = {}
    if missing:
        forward = forward_for(backbone, device, precision, len(missing), on_note)
        keeping = _Keeping(shards)
        try:
            for batch in _batches(missing, backbone.preprocess, reasons, batch_size, workers):
                keeping.add(batch, forward(torch.stack(list(batch.values()))))
                on_progress(cached + keeping.count, len(wanted))
                if should_stop():
                    raise StoppedByUser(
                        f"Stopped after {keeping.count} of {len(missing)} new images; their features are kept."
                    )
        finally:
            keeping.write()
    on_progress(len(wanted), len(wanted))
    return _gather(dataset, names, shards, reasons, backbone.dim)


def add_features(
    items: Sequence[Item],
    shards: Shards,
    forward: "Forward",
    *,
    home: Home,
    batch_size: int = BATCH,
    workers: int = 2,
    on_progress: Callable[[int], None] = lambda images: None,
) -> tuple[list[str | None], dict[str, str]]:
    """Puts the features of images into `shards`, those that are there left out; tells how many more there are.

    Returns the content hash of each image, None where it can't be read at all, and by hash the reasons why some have no
    features. Raises StoreError where the disk refuses.
    """
    names = digests([item.source for item in items], home, workers)
    missing = {name: item for name, item in zip(names, items, strict=True) if name is not None and name not in shards}
    reasons: dict[str, str] = {}
    keeping = _Keeping(shards)
    try:
        for batch in _batches(missing, forward.backbone.preprocess, reasons, batch_size, workers):
            keeping.add(batch, forward(torch.stack(list(batch.values()))))
            on_progress(len(batch))
    finally:
        keeping.write()
    on_progress(len(items) - keeping.count)
    return names, reasons


def forward_for(
    backbone: FrozenBackbone,
    device: str,
    precision: str,
    images: int,
    on_note: Callable[[str], None] = lambda message: None,
) -> "Forward":
    """The quickest way to the features of so many images."""
    quick = folded(backbone) if device == "cpu" and precision == "fp32" and images >= MANY else backbone
    return Forward(quick, device, precision, on_note)


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
    """From uint8 [B, 3, H, W] to features float32 [B, D]; in smaller parts once the device's memory was full."""

    def __init__(
        self,
        backbone: FrozenBackbone,
        device: str,
        precision: str = "fp32",
        on_note: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.backbone, self.device = backbone, device
        self.dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision)
        self._micro = MicroBatches(TorchProbe(), device, on_note)
        if device == "cpu":
            keep_freed_memory()

    def __call__(self, batch: Tensor) -> np.ndarray:
        return np.concatenate(self._micro.run(len(batch), lambda part, share: self._part(batch[part])))

    def _part(self, batch: Tensor) -> np.ndarray:
        kind = self.device.split(":")[0]
        with torch.inference_mode(), torch.autocast(kind, self.dtype, enabled=self.dtype is not None):
            images = normalize(batch.to(self.device), self.backbone.preprocess)
            return self.backbone.embed(images).float().cpu().numpy()


@dataclass
class _Keeping:
    """Gathers features into shards of a good size."""

    shards: Shards
    count: int = 0
    _names: list[str] = field(default_factory=list)
    _parts: list[np.ndarray] = field(default_factory=list)
    _written: float = field(default_factory=time.monotonic)

    def add(self, names: Iterator[str], features: np.ndarray) -> None:
        self._names += names
        self._parts.append(features)
        self.count += len(features)
        if len(self._names) >= SHARD_ROWS or time.monotonic() - self._written > SHARD_S:
            self.write()

    def write(self) -> None:
        if self._names:
            self.shards.add(self._names, np.concatenate(self._parts))
            self._names, self._parts = [], []
        self._written = time.monotonic()


def _batches(
    items: dict[str, Item], preprocess: Preprocess, reasons: dict[str, str], batch_size: int, workers: int
) -> Iterator[dict[str, Tensor]]:
    """Pixels uint8 [3, S, S] by content hash, up to `batch_size` at a time, decoded ahead by threads.

    What can't be decoded is left out, and `reasons` says why.
    """

    def load(name: str) -> Tensor | str:
        item = items[name]
        try:
            return to_input(read_image(item.source, item.name, min_side=preprocess.image_size), preprocess)
        except BadImage as error:
            return error.reason

    batch: dict[str, Tensor] = {}
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for name, decoded in zip(items, in_order(pool, load, items, AHEAD * batch_size, TOGETHER), strict=True):
            if isinstance(decoded, str):
                reasons[name] = decoded
                continue
            batch[name] = decoded
            if len(batch) == batch_size:
                yield batch
                batch = {}
    if batch:
        yield batch


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
