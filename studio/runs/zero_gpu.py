"""Runs on a Space that lends a GPU a call at a time (ZeroGPU): worked on within the request of whoever started them.

There the GPU belongs to the request, and to a process that is forked for it; no worker and no queue can have one. A
run asks for it for as long as it is estimated to take. Shortly before the time is over it saves and stops, as if it had
been asked to, and *Resume* goes on from there.
"""

import os
import time
from typing import Any

from studio.core.errors import StudioError
from studio.core.home import Home
from studio.runs.cost import estimate
from studio.runs.runner import execute
from studio.store import RunFolder, Store

LONGEST_S = 120.0  # of one call: what a visitor without an account has in a day
SHORTEST_S = 20.0  # a network is loaded in less
UNKNOWN_S = 60.0  # where no past run tells how long one takes
SAVING_S = 10.0  # kept for saving and reporting


def lends_gpus() -> bool:
    """Whether this is such a Space, as the package `spaces` tells it."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


class ZeroGpu:
    """To be made before the page is served: the Space looks for what wants a GPU when it starts."""

    def __init__(self, home: Home) -> None:
        import spaces

        self.home = home
        self._lent = spaces.GPU(duration=self.seconds)(self._work)

    def work(self, run_id: str, resume: bool = False) -> str:
        """Works on a filed run until it is finished, failed or stopped; its status then."""
        return self._lent(run_id, resume)

    def seconds(self, run_id: str, resume: bool = False) -> int:
        """For how long the GPU is asked for: what the run is estimated to take at most, and some to save."""
        try:
            cost = estimate(self._run(run_id).recipe(), self.home)
        except StudioError:  # what is wrong with it is told by whoever works on it
            cost = None
        wanted = (cost.high_s if cost else UNKNOWN_S) + SAVING_S
        return round(min(max(wanted, SHORTEST_S), LONGEST_S))

    def _work(self, run_id: str, resume: bool = False) -> str:
        end = time.monotonic() + self.seconds(run_id, resume) - SAVING_S
        return execute(self._run(run_id), self.home, resume, lambda: time.monotonic() > end).status

    def _run(self, run_id: str) -> RunFolder:
        return Store(self.home).run(run_id)


def of_this_space(home: Home) -> Any:
    """The `ZeroGpu` of this Space; None where no GPU is lent that way."""
    return ZeroGpu(home) if lends_gpus() else None
