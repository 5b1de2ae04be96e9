"""Images that wait together are answered together: one call of the network for up to so many of them."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np


class Batches:
    """Gathers what several requests ask. Lives on one event loop; the network runs in a thread of its own.

    Nothing waits for company: a batch is what came while the one before was at work.
    """

    def __init__(self, run: Callable[[np.ndarray], np.ndarray], most: int, on_batch: Callable[[int], None]) -> None:
        """`run` takes [B, 3, H, W] with B up to `most`; `on_batch` is told each B."""
        self._run, self._most, self._on_batch = run, most, on_batch
        self._waiting: deque[tuple[np.ndarray, asyncio.Future[np.ndarray]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._working: asyncio.Task[None] | None = None

    async def logits(self, images: list[np.ndarray]) -> np.ndarray:
        """Logits [N, C] of images [3, H, W], in order. Raises what the network raises."""
        loop = asyncio.get_running_loop()
        entries = [(image, loop.create_future()) for image in images]
        self._waiting.extend(entries)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return np.stack(await asyncio.gather(*(future for _, future in entries)))

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            batch = [(image, future) for image, future in batch if not future.done()]  # whose client went away
            if not batch:
                continue
            self._on_batch(len(batch))
            try:
                rows = await loop.run_in_executor(self._thread, self._run, np.stack([image for image, _ in batch]))
            except Exception as error:  # of the network's library; each who waits is told
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), row in zip(batch, rows, strict=True):
                if not future.done():
                    future.set_result(row)
