"""What is said of data that is not where it was looked for."""

from pathlib import Path

from studio.core.errors import DataError


def no_such(path: Path, kind: str = "file") -> DataError:
    """The error for a path that leads nowhere: a relative one is told with the folder that it was looked for in."""
    where = "" if path.is_absolute() else f" in {Path.cwd()}"
    return DataError(f"There is no {kind} {path}{where}.")
