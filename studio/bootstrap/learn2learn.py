"""learn2learn 0.2.0, which no pip can install on Python 3.11 and newer as it stands.

It has no wheel, and the C files in its source archive come from a Cython that is too old. Here Cython 3
writes them anew, inside pip's isolated build. What came of it is kept in a note for `launch.py doctor`;
where it fails, everything but the methods built on learn2learn still works.
"""

import tarfile
import tempfile
from pathlib import Path

from studio.bootstrap.steps import VENV, Failure, pip, say

PACKAGE = "learn2learn==0.2.0"
SHA256 = "69f1d7cb0d0a6be7a2c6ad8e83e2ebbe70fb05e51d61e45e63078b40c75ea419"  # of its source archive
IMPORTS = "gym==0.26.2\nrequests\ntqdm\n"  # at once; of gym (reinforcement learning) nothing here is used
LOCK = Path(__file__).with_suffix(".lock")  # of those

SETUP_EDITS = (
    ("extension_type = '.c'", "extension_type = '.pyx'"),
    ("        'gsutil',\n", ""),  # a command line tool for one dataset's download
    ("        'qpth>=0.0.15',\n", ""),  # for one layer, and learn2learn does without it
    ("find_packages()", "find_packages(include=['learn2learn', 'learn2learn.*'])"),  # its `tests` stay out
)
BUILD = '[build-system]\nrequires = ["setuptools", "cython>=3,<4"]\nbuild-backend = "setuptools.build_meta"\n'


def note_file() -> Path:
    return VENV / "learn2learn.txt"


def add() -> None:
    """Builds and installs it into `.venv`, and writes the note either way; never raises Failure."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            wanted = Path(folder) / "wanted.txt"
            wanted.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n", encoding="utf-8")
            fetch = ("download", "--no-deps", "--no-binary", "learn2learn", "-d", folder)
            pip(*fetch, "-r", str(wanted), doing=f"Fetching the source of {PACKAGE}")
            source = unpack(next(Path(folder).glob("*.tar.gz")), Path(folder).resolve())
            modernize(source)
            pip("install", "--require-hashes", "-r", str(LOCK), doing=f"Installing what {PACKAGE} imports")
            pip("install", "--no-deps", str(source), doing=f"Building {PACKAGE}")
        note = f"{PACKAGE} is installed."
    except Failure as failure:
        say(f"{failure}\nEverything but the methods built on learn2learn works without it.")
        note = f"{failure.sentence} To have it tried again, delete {note_file()} and start launch.py."
    note_file().write_text(note + "\n", encoding="utf-8")


def unpack(archive: Path, folder: Path) -> Path:
    """Writes the plain files of a source archive below `folder`, its old C files left out; returns their root."""
    with tarfile.open(archive) as members:
        for member in members:
            target = (folder / member.name).resolve()
            if member.isfile() and folder in target.parents and target.suffix != ".c":
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(members.extractfile(member).read())  # type: ignore[union-attr]
    return folder / archive.name.removesuffix(".tar.gz")


def modernize(source: Path) -> None:
    """Makes setup.py compile the .pyx files with Cython 3 and ask only for what is used."""
    setup = (source / "setup.py").read_text(encoding="utf-8")
    for old, new in SETUP_EDITS:
        if old not in setup:
            raise Failure(f"{PACKAGE} can't be built: its setup.py has no {old.strip()!r} to change.")
        setup = setup.replace(old, new)
    (source / "setup.py").write_text(setup, encoding="utf-8")
    (source / "pyproject.toml").write_text(BUILD, encoding="utf-8")
