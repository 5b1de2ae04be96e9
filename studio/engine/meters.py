"""What a run cost: images a second and the most memory it held."""

import threading
import time

import psutil
import torch

from studio.core.resident import peak_bytes


class Meter:
    """Starts when made; `read` gives `images_per_s` (where `images` was set) and `peak_memory_mb`.

    On a GPU the peak is the allocator's own; on the CPU it is the process's largest resident set, or where `alone`
    the largest that was seen (ten times a second) since the meter was made, for several trainings in one process.
    """

    def __init__(self, device: str, alone: bool = False) -> None:
        self.device, self.images = device, 0
        self._seen, self._done = 0, threading.Event()
        if alone and not device.startswith("cuda"):
            threading.Thread(target=self._watch, daemon=True).start()
        self._begun = time.monotonic()
        if device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats(device)

    def read(self) -> dict[str, float]:
        self._done.set()
        seconds = time.monotonic() - self._begun
        values = {"peak_memory_mb": round(self._peak_bytes() / 2**20, 1)}
        if self.images:
            values["images_per_s"] = round(self.images / seconds, 2)
        return values

    def _watch(self) -> None:
        process = psutil.Process()
        self._seen = process.memory_info().rss
        while not self._done.wait(0.1):
            self._seen = max(self._seen, process.memory_info().rss)

    def _peak_bytes(self) -> int:
        if self.device.startswith("cuda"):
            return torch.cuda.max_memory_allocated(self.device)
        return self._seen or peak_bytes()
