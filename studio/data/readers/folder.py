"""`folder:PATH`: class sub-folders, with train/, val/, test/ above them or not; or what an annotation tool exported."""

import os
from pathlib import Path

from studio.core.errors import DataError
from studio.data.files.image_finder import is_hidden
from studio.data.files.layout import by_folders
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.uncollected import uncollected
from studio.data.formats import OPTIONS as FORMAT_OPTIONS
from studio.data.formats import read_annotated
from studio.data.items import Dataset, FileSource, Skipped

OPTIONS = FORMAT_OPTIONS


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the folder is missing or holds no class folder with images."""
    root = Path(rest).expanduser()
    if not root.exists():
        raise no_such(root, "folder")
    if not root.is_dir():
        kind = f" For a zip write zip:{root}" if root.suffix.lower() == ".zip" else ""
        raise DataError(f"{root} is a file, not a folder.{kind}")
    with uncollected():
        files, closed = walk(root)
        annotated = read_annotated(root, str(root), "folder", options, limits, True, _shown(files))
        if isinstance(annotated, Dataset):
            return annotated
        if others := sorted(options.keys() - {"annotations"}):
            raise DataError(f"{root} holds no annotations that are read, so ?{others[0]}= says nothing.")
        dataset = by_folders(f"The folder {root}", files, limits)
    dataset.remarks += [annotated] if annotated else []
    dataset.skipped += closed
    return dataset


def _shown(files: dict[str, FileSource]) -> list[tuple[Path, str]]:
    """All but hidden ones, as `walk_files` gives them."""
    return [(source.path, below) for below, source in files.items() if not is_hidden(below)]


def walk(root: Path) -> tuple[dict[str, FileSource], list[Skipped]]:
    """All files below `root` by posix path, and the folders that can't be opened. Links are followed, once each."""
    files: dict[str, FileSource] = {}
    closed: list[Skipped] = []
    seen = {os.path.realpath(root)}

    def note(error: OSError) -> None:
        name = Path(error.filename).relative_to(root).as_posix()
        closed.append(Skipped(name, f"the folder can't be opened ({error.strerror})"))

    for folder, folders, names in os.walk(root, followlinks=True, onerror=note):
        place, below = Path(folder), Path(folder).relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        kept = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(folder, name))
            if not name.startswith(".") and real not in seen:
                seen.add(real)
                kept.append(name)
        folders[:] = kept
        files.update((prefix + name, FileSource(place / name)) for name in sorted(names))
    return files, closed
