"""Fixtures for all tests."""

import base64
import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: threads of each would only get in the way
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from studio.core.home import Home

#: a PNG of one white pixel
BLANK = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg==")


#: the folders with the longest files: they begin first, so that no process is left alone with one at the end
LONGEST = ("ui", "engine", "runs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, else as they were found."""
    tests = Path(__file__).parent
    folder = {item: item.path.relative_to(tests).parts[0] for item in items if item.path.is_relative_to(tests)}
    items.sort(key=lambda item: LONGEST.index(folder[item]) if folder.get(item) in LONGEST else len(LONGEST))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A fresh home folder."""
    return Home.find(tmp_path / "home")


@pytest.fixture(autouse=True)
def figures_stay_undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process make their figures and save a blank one: drawing is half the time of a small run.

    Where `draws` marks a test they are drawn, as in every run of a process of its own.
    """
    if "draws" not in request.keywords:
        monkeypatch.setattr("studio.core.procedure.save_figure", lambda figure, path: path.write_bytes(BLANK))


@pytest.fixture
def asked_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process ask at every step whether to stop, not five times a second: steps may be faster."""
    monkeypatch.setattr("studio.runs.runner.StopWatch", lambda ask: ask)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of small real data beside the project; tests that need it skip without it."""
    folder = Path(os.environ.get("STUDIO_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no folder of real data (set STUDIO_TEST_DATA)")
    return folder
