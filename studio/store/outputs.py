"""Files for people, in a folder that they name: nothing that is there is ever replaced, inputs least of all.

A name that is taken, in the folder or earlier by the same command, gets a number. A file is written under a
temporary name and appears whole.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.core.errors import UsageError
from studio.store.files import clear_errors, temp_name, write_synced

LONGEST = 200  # bytes of a file name, so that a number and a suffix still fit where 255 are allowed


class Outputs:
    """A folder that results go into; it is made when the first one comes."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def write(self, name: str, write: Callable[[Path], object]) -> Path:
        """Has `write(path)` make a file, and gives it `name` or the next free one. Returns where it is.

        Raises StoreError, with nothing left behind, where the disk refuses.
        """
        with clear_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = temp_name(self.folder / f"part{Path(name).suffix}")
            try:
                write(temporary)
                return claim(temporary, self.folder / short_name(name))
            finally:
                temporary.unlink(missing_ok=True)

    def write_bytes(self, name: str, data: bytes) -> Path:
        """As `write`, of bytes."""
        return self.write(name, lambda path: write_synced(path, data))


def claim(temporary: Path, wanted: Path) -> Path:
    """Gives a finished file its name, or that with the first number that is free; two at once never share one."""
    for path in numbered(wanted):
        try:
            os.link(temporary, path)  # unlike a rename it fails where the name is taken
        except FileExistsError:
            continue
        except OSError:  # a file system without hard links: claim the name by an empty file first
            try:
                path.open("xb").close()
            except FileExistsError:
                continue
            os.replace(temporary, path)
        return path
    raise AssertionError("numbers do not end")


def numbered(path: Path) -> Iterator[Path]:
    """`a.png`, `a-2.png`, `a-3.png` and so on."""
    yield path
    number = 1
    while True:
        number += 1
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def short_name(name: str) -> str:
    """A file name cut to what every file system takes, its suffix kept."""
    stem, suffix = Path(name).stem, Path(name).suffix
    return os.fsdecode(os.fsencode(stem)[: LONGEST - len(os.fsencode(suffix))]) + suffix


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files move into `folder` when the body ends well, all of them or none.

    Raises UsageError, with nothing written, where a file of that name is there already.
    """
    with clear_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".tmp-", dir=folder))
    try:
        yield made
        files = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
        if taken := [str(file) for file in files if (folder / file).exists()]:
            raise UsageError(
                f"{folder} has {', '.join(taken[:5])} already, and nothing is written over. Name another folder, or "
                "move what is there."
            )
        with clear_errors(folder):
            for file in files:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                os.replace(made / file, folder / file)
    finally:
        shutil.rmtree(made, ignore_errors=True)
