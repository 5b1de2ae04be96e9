"""The environment: found if there is one, made or completed if not.

It is the running interpreter where that has all packages already (a Space, a container, an activated
environment), else `.venv` beside launch.py. `requirements.txt` serves every command, and
`requirements-dev.txt` the tests on top. What is installed are the versions of the lock file beside each
(`studio.bootstrap.lock` writes it), checked by hash: those that the tests passed with. A stamp in `.venv`
for each file says what was installed from it, so nothing is installed twice and a half-made environment is
completed.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from studio.bootstrap import learn2learn
from studio.bootstrap.steps import NO_RELEASE, ROOT, VENV, Failure, pip, say, venv_python

DISK_GB = 8
EDITION = "2"  # raised when every environment is to be looked over once more


def find(testing: bool) -> str | None:
    """The interpreter that has everything, or None where something is still to be installed."""
    files = requirement_files(testing)
    inside_ours = Path(sys.prefix).resolve() == VENV.resolve()
    if not inside_ours and all(map(is_met_here, files)):
        return sys.executable
    if all(map(is_stamped, files)) and learn2learn.note_file().is_file():
        return str(venv_python())
    return None


def make(testing: bool) -> str:
    """Makes or completes `.venv`, one process at a time; returns its interpreter. Raises Failure."""
    with only_one():
        if not works(venv_python()):
            make_venv()
        for file in requirement_files(testing):
            if not is_stamped(file):
                install(file)
                add_ourselves()
                stamp_file(file).write_text(stamp(file), encoding="utf-8")
        if not learn2learn.note_file().is_file():
            learn2learn.add()
    say("The environment is ready.")
    return str(venv_python())


def requirement_files(testing: bool) -> list[Path]:
    return [ROOT / "requirements.txt"] + ([ROOT / "requirements-dev.txt"] if testing else [])


def lock_of(file: Path) -> Path:
    return file.with_suffix(".lock")


def install(file: Path) -> None:
    """Installs the locked versions, or what the requirements allow where this Python or system has no such release."""
    lock = lock_of(file)
    if lock.is_file():
        try:
            return pip("install", "--require-hashes", "-r", str(lock), doing=f"Installing {lock.name}")
        except Failure as failure:
            if failure.sentence != f"Installing {lock.name} failed: {NO_RELEASE}":
                raise
            say(f"{failure.sentence} Taking other versions that {file.name} allows, which the tests may not have seen.")
    pip("install", "-r", str(file), doing=f"Installing {file.name}")


def add_ourselves() -> None:
    """Has `.venv`'s Python find the project from any folder, so that scripts and benchmarks just import it."""
    asked = [str(venv_python()), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    (Path(packages) / "transfer_studio.pth").write_text(f"{ROOT}\n", encoding="utf-8")


# The stamps in .venv


def stamp(file: Path) -> str:
    """What `.venv` is made from: this edition, its place and Python, the requirement file and its lock."""
    lock = lock_of(file)
    locked = lock.read_bytes() if lock.is_file() else b""
    parts = [EDITION.encode(), str(ROOT).encode(), os.path.realpath(venv_python()).encode(), file.read_bytes(), locked]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def stamp_file(file: Path) -> Path:
    return VENV / f"{file.stem}.stamp"


def is_stamped(file: Path) -> bool:
    made = stamp_file(file)
    return venv_python().exists() and made.is_file() and made.read_text(encoding="utf-8") == stamp(file)


# The running interpreter


def is_met_here(file: Path) -> bool:
    """Whether the running interpreter has every package of a requirement file, in a version that fits."""
    lines = file.read_text(encoding="utf-8").splitlines()
    wanted = filter(None, (re.match(r"([\w.-]+)(?:\[[^]]*\])?\s*([^#;]*)", line) for line in lines))
    return all(is_installed(line[1], line[2].strip()) for line in wanted)


def is_installed(package: str, bounds: str) -> bool:
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return all(fits(version, bound.strip()) for bound in bounds.split(",") if bound)


def fits(version: str, bound: str) -> bool:
    """Whether a version keeps to one bound, `>=`, `<` or `==`, by its release numbers alone."""
    sign, limit = re.match(r"([<>=]+)\s*(.+)", bound).groups()  # type: ignore[union-attr]
    found, other = release(version), release(limit)
    return {">=": found >= other, "<": found < other, "==": found == other}[sign]


def release(version: str) -> list[int]:
    """`1.26.0rc1+cpu` is [1, 26], without trailing zeros so that 1.5 equals 1.5.0."""
    numbers = re.match(r"[\d.]+", version)[0].strip(".").split(".")  # type: ignore[index]
    while len(numbers) > 1 and int(numbers[-1]) == 0:
        numbers.pop()
    return [int(number) for number in numbers]


# Making .venv


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Holds a lock of the operating system: when its holder dies, the next one goes on."""
    with open(ROOT / ".venv.lock", "a") as file:
        if not try_lock(file):
            say("Another launch.py is making the environment; waiting for it.")
            while not try_lock(file):
                time.sleep(0.5)
        yield


def try_lock(file: IO[str]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a network file system without locks: better without one than not at all
        pass
    return True


def works(python: Path) -> bool:
    """False where there is none, or one that an upgrade of the system's Python left without its packages."""
    command = [str(python), "-c", "import pip, sys; sys.exit(sys.version_info < (3, 11))"]
    return python.exists() and subprocess.run(command, capture_output=True).returncode == 0


def make_venv() -> None:
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        package = f"python3.{sys.version_info.minor}-venv"
        raise Failure(f"This Python can't make environments; add that (Debian, Ubuntu: apt install {package}).")
    free_gb = shutil.disk_usage(ROOT).free / 2**30
    if free_gb < DISK_GB:
        raise Failure(f"The environment needs about {DISK_GB} GB, and {ROOT} has {free_gb:.1f} GB free; make room.")
    say(f"Making the environment in {VENV}, once. torch and its libraries are several GB; this takes minutes.")
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    made = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if made.returncode:
        raise Failure(f"`python -m venv` could not make {VENV}.", made.stdout + made.stderr)
