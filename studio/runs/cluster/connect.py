"""Reaching a Ray cluster, and what one of its nodes is: `ray`, `ray:HOST:PORT` or `ray:ray://HOST:PORT`."""

import importlib.util
import logging
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock

from studio.core.errors import StudioError, UsageError, one_line
from studio.core.home import Home, default_root

NO_RAY = "--on ray needs Ray: pip install -r requirements-cluster.txt, here and on every node."
FORM = re.compile(r"ray(:(?P<address>(ray://)?(?P<host>[A-Za-z0-9._-]+):(?P<port>\d{1,5})))?")
REACH_S = 5.0  # in which the named head has to answer
ROOT = Path(__file__).resolve().parents[3]
CODE = ("studio", "adapters", "fewshot")  # travels to the nodes; what it needs must be installed there


def installed() -> bool:
    """Whether Ray is here."""
    return importlib.util.find_spec("ray") is not None


def check_place(on: str) -> None:
    """Raises UsageError for what names no cluster, or where Ray is not installed."""
    if not FORM.fullmatch(on):
        raise UsageError(f"--on: found {on!r}; expected ray, ray:HOST:PORT or ray:ray://HOST:PORT.")
    if not installed():
        raise UsageError(NO_RAY)


def connect(on: str, home: Home) -> Any:
    """The module `ray`, connected. Where no cluster is named and none runs here, one is started, which stays.

    Raises UsageError for a place that is none, StudioError where the cluster can't be reached.
    """
    check_place(on)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is told to anyone
    import ray

    if ray.is_initialized():
        return ray
    address = FORM.fullmatch(on)["address"] or os.environ.get("RAY_ADDRESS")
    if address:
        _require_answer(address)
        _join(ray, address)
    else:
        _join_or_start(ray, home)
    return ray


def _join(ray: Any, address: str) -> None:
    modules = [str(ROOT / name) for name in CODE]
    try:
        ray.init(
            address=address, namespace="transfer-studio", runtime_env={"py_modules": modules}, log_to_driver=False,
            logging_level=logging.ERROR,
        )  # fmt: skip
    except ConnectionError:
        raise
    except Exception as error:  # other versions of Ray or Python, a node that is not of this cluster
        raise StudioError(f"The Ray cluster at {address} can't be joined: {one_line(error)}") from error


def _join_or_start(ray: Any, home: Home) -> None:
    with FileLock(home.locks / "ray-start.lock"):
        try:
            _join(ray, "auto")
        except ConnectionError:
            start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--include-dashboard=false"]
            environment = {**os.environ, "STUDIO_HOME": str(home.root)}
            started = subprocess.run(start, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
            if started.returncode:
                said = one_line(RuntimeError(started.stderr or started.stdout))
                raise StudioError(f"`ray start --head` could not start a Ray cluster here: {said}") from None
            _join(ray, "auto")


def _require_answer(address: str) -> None:
    """Raises StudioError where nobody listens: Ray itself would try for a minute, and end the process."""
    parts = FORM.fullmatch(f"ray:{address}")
    if parts is None:
        raise UsageError(f"RAY_ADDRESS: found {address!r}; expected HOST:PORT or ray://HOST:PORT.")
    try:
        socket.create_connection((parts["host"], int(parts["port"])), timeout=REACH_S).close()
    except (OSError, OverflowError) as error:
        raise StudioError(
            f"There is no Ray cluster at {address} ({one_line(error)}). Start one there with `ray start --head`, and "
            "name its address as that prints it; nothing was lost."
        ) from error


def room(ray: Any) -> int:
    """Runs that the cluster can work on at once: its processors."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def node_home() -> Home:
    """The home of the node that this process is on: runs that come from elsewhere are worked on below it.

    It is below STUDIO_HOME as it was where `ray start` was called; nodes that share that folder have one each.
    """
    root = Path(os.environ.get("STUDIO_HOME") or default_root())
    return Home.find(root / "nodes" / socket.gethostname())
