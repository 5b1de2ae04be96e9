"""The serving process or processes: `serve` of the command line."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from studio.core.errors import StudioError, UsageError
from studio.core.home import Home
from studio.runs.queue import cores
from studio.runs.serve.app import ServeLimits, build_app
from studio.runs.serve.exported import open_exported
from studio.store import Store

SETTINGS = "STUDIO_SERVES"  # how a worker process knows what to serve


def exported_folder(name: str, form: str, home: Home) -> Path:
    """The folder of an export: `name` itself, or that of a checkpoint, written on first use by a process of its own,
    so that torch never comes into this one. Raises StudioError where it can't be written."""
    if (Path(name) / "model.json").is_file():
        return Path(name)
    checkpoint = Store(home).checkpoint(name).id
    folder = home.root / "served" / checkpoint / form
    if not (folder / "model.json").is_file():
        argv = [sys.executable, "-m", "studio.cli", "export", checkpoint, "--format", form, "--out", str(folder)]
        environment = {**os.environ, "STUDIO_HOME": str(home.root)}
        if code := subprocess.call(argv, env=environment, stdin=subprocess.DEVNULL):
            raise (UsageError if code == UsageError.exit_code else StudioError)(
                f"{checkpoint} can't be served as {form}; what went wrong is said above."
            )
    return folder


def serve(folder: Path, host: str, port: int, workers: int, threads: int | None, limits: ServeLimits) -> None:
    """Serves until it is interrupted. Raises UsageError for a folder that can't be served."""
    threads = threads or max(1, cores() // workers)
    open_exported(folder, threads)  # what is wrong is said before anything listens
    os.environ[SETTINGS] = json.dumps({"folder": str(folder), "threads": threads, "limits": asdict(limits)})
    with tempfile.TemporaryDirectory() as counts:
        if workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = counts
        uvicorn.run(
            "studio.runs.serve.process:app", factory=True, host=host, port=port, workers=workers, log_level="warning",
            access_log=False, timeout_keep_alive=30, limit_concurrency=4 * limits.queue,
        )  # fmt: skip


def app() -> Starlette:
    """The application of a worker process."""
    settings = json.loads(os.environ[SETTINGS])
    return build_app(open_exported(Path(settings["folder"]), settings["threads"]), ServeLimits(**settings["limits"]))
