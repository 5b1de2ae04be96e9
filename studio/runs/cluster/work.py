"""A run in one process of a node: Ray places it, its events and files come back while it works.

A node that is lost takes nothing with it but the time since the last resume state: the run goes on from there on
another one, once. What a lost node still does is heard by nobody.
"""

import math
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

from studio.core.errors import StoppedByUser, StudioError, one_line
from studio.core.events import EventWriter
from studio.core.home import Home
from studio.runs.cluster.carrying import News, Workplace, bring, send
from studio.runs.cluster.connect import connect, node_home
from studio.runs.queue import PROCESS_GB, Queue
from studio.runs.runner import Result, answered_stop, execute, share
from studio.store import RunFolder, Store

POLL_S = 0.5
ATTEMPTS = 2  # a run that loses its node goes on once
THREADS = 4  # of a node's process: one works, one answers


class Worker:
    """What Ray starts on a node; its methods are called from where the run was filed."""

    def __init__(self) -> None:
        self._home = node_home()

    def begin(self, run_id: str) -> str:
        """Makes room for the run; the name of this node."""
        self._place = Workplace(self._home, run_id)
        return socket.gethostname()

    def missing(self, names: list[str]) -> list[str]:
        return self._place.missing(names)

    def put(self, name: str, data: bytes) -> None:
        self._place.put(name, data)

    def news(self) -> News:
        return self._place.news()

    def content(self, name: str) -> bytes | None:
        return self._place.content(name)

    def stop(self) -> None:
        self._place.run.request_stop()

    def work(self, resume: bool) -> dict[str, Any]:
        """Works on the run to its end; its `Result` as a mapping."""
        return vars(execute(self._place.run, self._home, resume))


class NodeLost(Exception):
    """The process that worked on the run, or its whole node, is gone."""


def work_on(run: RunFolder, home: Home, on: str, resume: bool, should_stop: Callable[[], bool]) -> Result:
    """Works on a filed run somewhere in the cluster `on` until it is finished, failed or stopped.

    Every outcome is in the events, as of a run that is worked on here.
    """
    with (
        run.hold(), answered_stop(run), Queue(home).working(run, on), EventWriter(run.events_path) as events
    ):  # fmt: skip
        begun, result = time.monotonic(), Result(run.id, "running")
        try:
            ray = connect(on, home)
            result = _attempts(ray, run, Store(home), resume, should_stop, events)
        except StoppedByUser as stop:
            result.status, result.error, result.exit_code = "stopped", str(stop), stop.exit_code
        except StudioError as error:
            result.status, result.error, result.exit_code = "failed", str(error), error.exit_code
        else:
            if result.status == "finished":
                share(run, Store(home), events)
            return result
        result.seconds = round(time.monotonic() - begun, 3)
        events.emit("error", message=result.error)
        events.status(result.status, seconds=result.seconds, exit_code=result.exit_code)
        return result


def _attempts(
    ray: Any, run: RunFolder, store: Store, resume: bool, should_stop: Callable[[], bool], events: EventWriter
) -> Result:
    """Raises StudioError where the last attempt loses its node too."""
    for attempt in range(ATTEMPTS):
        try:
            return _Attempt(ray, run, store, events).run(resume or attempt > 0, should_stop)
        except NodeLost as lost:
            if attempt + 1 < ATTEMPTS:
                events.warning(f"{lost} The run goes on from its last resume state on another one.")
                continue
            raise StudioError(f"{lost} It was the second; what was saved is here, and `resume` goes on.") from lost
    raise AssertionError("unreachable")


class _Attempt:
    """One process on one node; an `Away` that asks it. Every method raises NodeLost where it is gone."""

    def __init__(self, ray: Any, run: RunFolder, store: Store, events: EventWriter) -> None:
        self.ray, self.filed, self.store, self.events = ray, run, store, events
        self.node = ""

    def run(self, resume: bool, should_stop: Callable[[], bool]) -> Result:
        wants = resources(
            self.filed.recipe().device, Queue(self.store.home).memory_gb(self.filed), lambda: smallest_gpu_gb(self.ray)
        )
        self.worker = self.ray.remote(Worker).options(max_concurrency=THREADS, **wants).remote()
        try:
            self._place(should_stop)
            send(self.filed, self.store, self)
            return self._follow(self.worker.work.remote(resume), should_stop)
        finally:
            self.ray.kill(self.worker)

    def _place(self, should_stop: Callable[[], bool]) -> None:
        """Waits for a node. Raises StoppedByUser where the run shall stop before it has one."""
        placed, told = self.worker.begin.remote(self.filed.id), False
        while not self._is_done(placed):
            if should_stop() or self.filed.stop_requested():
                raise StoppedByUser("Stopped while waiting for a node of the cluster.")
            if not told:
                self.events.note("Waiting for a node of the Ray cluster with room for it.")
                told = True
        self.node = self._asked(placed)
        self.events.note(f"Node {self.node} of the Ray cluster works on it; paths of the recipe are looked for there.")

    def _follow(self, work: Any, should_stop: Callable[[], bool]) -> Result:
        asked = False
        while not self._is_done(work):
            bring(self.filed, self.store, self, self.events)
            if not asked and (should_stop() or self.filed.stop_requested()):
                asked = True
                self._ask("stop")
        result = Result(**self._asked(work))
        bring(self.filed, self.store, self, self.events)
        return result

    def missing(self, names: list[str]) -> list[str]:
        return self._ask("missing", names)

    def put(self, name: str, data: bytes) -> None:
        self._ask("put", name, data)

    def news(self) -> News:
        return self._ask("news")

    def content(self, name: str) -> bytes | None:
        return self._ask("content", name)

    def _ask(self, method: str, *values: Any) -> Any:
        return self._asked(getattr(self.worker, method).remote(*values))

    def _is_done(self, answer: Any) -> bool:
        done, _ = self.ray.wait([answer], timeout=POLL_S)
        return bool(done)

    def _asked(self, answer: Any) -> Any:
        """What the node answers. Raises NodeLost, or StudioError for what it says itself."""
        try:
            return self.ray.get(answer)
        except self.ray.exceptions.RayTaskError as error:
            said = error.cause if isinstance(error.cause, StudioError) else None
            raise said or StudioError(f"Node {self.node or 'of the cluster'}: {_first_line(error.cause)}") from error
        except self.ray.exceptions.RuntimeEnvSetupError as error:
            raise StudioError(f"The studio's code could not be brought to a node: {one_line(error)}") from error
        except self.ray.exceptions.ActorDiedError as error:
            if "__init__" in str(error):
                raise StudioError(f"A node can't begin: {_last_line(error)} It needs requirements.txt too.") from error
            raise NodeLost(f"Node {self.node or 'of the cluster'} was lost.") from error
        except self.ray.exceptions.RayError as error:
            raise NodeLost(f"Node {self.node or 'of the cluster'} was lost.") from error


def resources(device: str, memory_gb: float, gpu_gb: Callable[[], float | None]) -> dict[str, float]:
    """What Ray is asked for: a processor, memory of the host in bytes, and the share of a GPU that the lease is of it.

    `memory_gb` is what the queue reckons with, the worker's own memory included; `gpu_gb` gives that of the cluster's
    smallest GPU, None where it has none.
    """
    total_gb = None if device == "cpu" else gpu_gb()
    if total_gb is None:
        return {"num_cpus": 1, "num_gpus": 0, "memory": round(memory_gb * 2**30)}
    return {"num_cpus": 1, "num_gpus": share_of(memory_gb - PROCESS_GB, total_gb), "memory": round(PROCESS_GB * 2**30)}


def share_of(leased_gb: float, total_gb: float) -> float:
    """The part of a GPU, in ten-thousandths as Ray counts it, 1 at most."""
    return min(1.0, max(1, math.ceil(1e4 * leased_gb / total_gb)) / 1e4) if total_gb > 0 else 1.0


def smallest_gpu_gb(ray: Any) -> float | None:
    """Of all nodes' GPUs; 0 where the cluster has some that do not tell, None where it has none."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]
    asked = [
        ray.remote(gpus_gb).options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True))
        for node in nodes
    ]
    sizes = ray.get([one.remote() for one in asked])
    return min((min(node, default=0.0) for node in sizes), default=None)


def gpus_gb() -> list[float]:
    """Memory of each GPU of this machine, whoever may use it; empty where nvidia-smi tells none."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [float(line) / 1024 for line in told.stdout.split() if line.replace(".", "", 1).isdigit()]


def _first_line(error: Any) -> str:
    return one_line(error) if isinstance(error, Exception) else str(error)


def _last_line(error: Exception) -> str:
    return next((line for line in reversed(str(error).splitlines()) if line.strip()), "").strip()
