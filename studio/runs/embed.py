"""Features of a whole data set, by one process or several, into a folder: what `launch.py embed` does."""

import multiprocessing
import os
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from studio.core import registry
from studio.core.errors import StudioError, UsageError
from studio.core.home import Home
from studio.data import open_data
from studio.data.features import embedding
from studio.data.features.cache import embed_images
from studio.data.features.embedding import Embedding
from studio.data.files.limits import limits_of
from studio.data.items import Dataset
from studio.device.manager import DeviceManager
from studio.runs.predict import Photo, read_for_people

MEMORY_GB = 1.0  # of a device, for a backbone and a batch
MOST_PROCESSES = 64


@dataclass(frozen=True)
class _Asked:
    """What is to be embedded, and by what; each process opens it for itself."""

    data: str
    backbone: str
    out: Path
    image_size: int | None
    device: str
    precision: str
    home: Home

    def images(self) -> Dataset:
        dataset = open_data(self.data, limits_of(self.home))
        if not isinstance(dataset, Dataset):
            raise UsageError(f"data: {self.data!r} holds feature vectors already; expected images.")
        return dataset

    def network(self) -> Any:
        return registry.backbone(self.backbone, home=self.home, image_size=self.image_size).eval()


def embed(
    data: str,
    backbone: str,
    out: str | Path,
    *,
    processes: int = 1,
    image_size: int | None = None,
    device: str = "auto",
    precision: Literal["fp32", "fp16", "bf16"] = "fp32",
    home: Home | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_note: Callable[[str], None] = lambda message: None,
) -> Embedding:
    """Features of every image that `data` names, by a frozen backbone, in the folder `out`.

    Given again after it was stopped or killed it goes on where it was, and images that are new since are added. Memory
    does not grow with the features. Where they are many, an index of nearest neighbours is built at the end. Raises
    UsageError where `out` holds something else, DataError for data that can't be used.
    """
    if not 1 <= processes <= MOST_PROCESSES:
        raise UsageError(f"--processes: found {processes}; expected 1 to {MOST_PROCESSES}.")
    asked = _Asked(data, backbone, Path(out).expanduser(), image_size, device, precision, home or Home.find())
    dataset, network, done = asked.images(), asked.network(), 0
    embedding.begin(asked.out, data, network, backbone, precision)

    def count(images: int) -> None:
        nonlocal done
        done += images
        on_progress(done, len(dataset))

    if processes == 1:
        _embed_part(asked, dataset, network, 0, 1, count, on_note)
    else:
        del network
        _in_processes(asked, processes, count, on_note)
    finished = embedding.finish(dataset, asked.out)
    _ = finished.neighbours
    return finished


def nearest(
    folder: str | Path, images: Sequence[Photo], count: int = 10, *, home: Home | None = None, device: str = "auto"
) -> list[list[dict[str, Any]]]:
    """For each image the `count` nearest of an embedding, nearest first: {image, class, distance}."""
    home = home or Home.find()
    known = Embedding.open(folder)
    opened = [read_for_people(image) for image in images]
    size = known.facts["preprocess"]["image_size"]
    network = registry.backbone(known.facts["backbone"], home=home, image_size=size).eval()
    if network.hash != known.facts["hash"]:
        raise UsageError(f"{folder}: {known.facts['backbone']} has other weights now; embed again in another folder.")
    with DeviceManager(home).lease(device, memory_gb=MEMORY_GB, interactive=True) as lease:
        features = embed_images(opened, network.to(lease.device), lease.device)
    return known.nearest(features, count)


def _embed_part(
    asked: _Asked,
    dataset: Dataset,
    network: Any,
    part: int,
    parts: int,
    on_progress: Callable[[int], None],
    on_note: Callable[[str], None],
) -> None:
    with DeviceManager(asked.home).lease(asked.device, memory_gb=MEMORY_GB, on_wait=on_note) as lease:
        if lease.note:
            on_note(lease.note)
        embedding.embed_part(
            dataset, asked.out, network.to(lease.device), home=asked.home, device=lease.device,
            precision=asked.precision, part=part, parts=parts, on_progress=on_progress, on_note=on_note,
        )  # fmt: skip


def _in_processes(
    asked: _Asked, count: int, on_progress: Callable[[int], None], on_note: Callable[[str], None]
) -> None:
    """Each process takes every `count`-th chunk. Raises StudioError with what the first one says that fails."""
    spawning = multiprocessing.get_context("spawn")
    messages = spawning.Queue()
    workers = [
        spawning.Process(target=_worker, args=(asked, part, count, messages), daemon=True) for part in range(count)
    ]
    for worker in workers:
        worker.start()
    try:
        while any(worker.is_alive() for worker in workers) or not messages.empty():
            try:
                kind, content = messages.get(timeout=0.2)
            except queue.Empty:
                continue
            if kind == "failed":
                raise StudioError(content)
            on_note(content) if kind == "note" else on_progress(content)
    finally:
        for worker in workers:
            worker.terminate()  # what they have written stays
            worker.join()
    codes = [worker.exitcode for worker in workers]
    if any(codes):
        raise StudioError(f"A process of the embedding died (exit codes {codes}); give the same command again.")


def _worker(asked: _Asked, part: int, parts: int, messages: Any) -> None:
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // parts))
    try:
        _embed_part(
            asked, asked.images(), asked.network(), part, parts,
            lambda images: messages.put(("done", images)), lambda message: messages.put(("note", message)),
        )  # fmt: skip
    except StudioError as error:
        messages.put(("failed", str(error)))
