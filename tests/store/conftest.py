"""What the tests of the store share."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.core.home import Home
from studio.store import Checkpoint, Manifest, Store


@pytest.fixture
def store(home: Home) -> Store:
    return Store(home)


@pytest.fixture
def put(store: Store) -> Callable[..., Checkpoint]:
    """Puts a small checkpoint: `put(backbone=tensor, head=tensor, **manifest fields)`."""

    def put(backbone: Any = None, head: Any = None, files: dict[str, bytes] | None = None, **fields: Any) -> Checkpoint:
        tensors = {
            "backbone.weight": torch.arange(12.0).reshape(3, 4) if backbone is None else backbone,
            "head.weight": torch.randn(2, 3) if head is None else head,
        }
        values = {"face": "Learner", "task": "classify", "method": "finetune/full", "classes": ["cat", "dog"], **fields}
        return store.put(Manifest(**values), tensors, files)

    return put


PRELUDE = """
import sys
from studio.core.events import EventWriter
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.store import Store
store = Store(Home.find(sys.argv[1]))
print("up", flush=True)
"""


@pytest.fixture
def start(home: Home) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts another process on the same home: code finds a `store`; returns once it is up."""
    started: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", PRELUDE + code, str(home.root)]
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, env=env)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline().strip() == b"up"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
