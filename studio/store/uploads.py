"""What was given to the page: kept below `uploads/`, within bounds, until nothing refers to it any more.

A zip is kept by its content (`0123456789abcdef.zip`), photos by class in a folder of their own
(`photos-DATE-TIME-XXXX/CLASS/`). Recipes, checkpoints and presets refer to them by these names.
"""

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import DataError
from studio.core.home import Home
from studio.store.versions import bytes_of_all, bytes_of_versions

NAME = re.compile(r"[0-9a-f]{16}\.zip|photos-\d{8}-\d{6}-[A-Za-z0-9_]+")
NAME_BYTES = 180  # of a file name: systems take 255 bytes, and the page adds a number before and a suffix after
FORGOTTEN_S = 24 * 3600.0  # what is younger may be about to be used
_IN_TEXT = re.compile(rb"[0-9a-f]{16}\.zip|photos-\d{8}-\d{6}-[A-Za-z0-9_]+")


@dataclass(frozen=True)
class UploadBounds:
    """How much may be given to the page."""

    photos: int = 5000  # by class, in one go; more come in a zip
    upload_bytes: int = 64 * 2**30
    visitor_bytes: int | None = None  # of one visitor, all uploads together
    all_bytes: int | None = None  # of all visitors
    free_bytes: int = 2 * 2**30  # of the disk, that stay free


STRANGERS = UploadBounds(
    photos=1000, upload_bytes=256 * 2**20, visitor_bytes=2**30, all_bytes=50 * 2**30, free_bytes=5 * 2**30
)


def keep_zip(source: Path, home: Home, bounds: UploadBounds) -> Path:
    """A copy of an uploaded zip. Raises DataError where it is none, or too much."""
    if source.suffix.lower() != ".zip":
        raise DataError(f"Expected a .zip file, found {source.name}.")
    with open(source, "rb") as file:
        target = home.uploads / f"{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}.zip"
    if not target.exists():
        refuse_too_much([source], home, bounds)
        _copy(source, target)
    os.utime(target)  # it is in use again
    return target


def keep_photos(photos: Mapping[str, Sequence[str]], home: Home, bounds: UploadBounds) -> Path:
    """A folder with copies of uploaded photos by class. Raises DataError for fewer than two classes, or too much."""
    chosen = {name.strip(): files for name, files in photos.items() if name and name.strip() and files}
    if len(chosen) < 2:
        raise DataError("Give photos for at least two classes, each with a name.")
    count = sum(map(len, chosen.values()))
    if count > bounds.photos:
        raise DataError(f"{count} photos are too many for the boxes (at most {bounds.photos}); put them into a zip.")
    refuse_too_much([Path(file) for files in chosen.values() for file in files], home, bounds)
    folder = Path(tempfile.mkdtemp(prefix=time.strftime("photos-%Y%m%d-%H%M%S-"), dir=home.uploads))
    try:
        for name, files in chosen.items():
            target = folder / _unlike(safe_name(name), {path.name.lower() for path in folder.iterdir()})
            target.mkdir()
            for number, file in enumerate(files):
                _copy(Path(file), target / f"{number:04d}-{safe_name(Path(file).name)}")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def refuse_too_much(files: Sequence[Path], home: Home, bounds: UploadBounds) -> None:
    """Raises DataError where these files are more than may be given, or than the disk has room for."""
    home.uploads.mkdir(parents=True, exist_ok=True)
    size = sum(file.stat().st_size for file in files if file.is_file())
    if size > bounds.upload_bytes:
        raise DataError(f"{_mb(size)} are too much; {_mb(bounds.upload_bytes)} may be given at once.")
    if bounds.visitor_bytes is not None and size > _left_to_visitor(home, bounds.visitor_bytes):
        raise DataError(f"You may give {_mb(bounds.visitor_bytes)} in all, and these {_mb(size)} would be more.")
    if bounds.all_bytes is not None and size > _left_to_all(home, bounds.all_bytes):
        raise DataError("This page has no more room for uploads. Try again tomorrow.")
    if shutil.disk_usage(home.root).free - size < bounds.free_bytes:
        raise DataError(
            f"The disk of {home.root.name} has too little room for {_mb(size)}. `python launch.py gc` removes what "
            "nothing refers to."
        )


def room_for(home: Home, bounds: UploadBounds) -> int:
    """Bytes that may still be kept for whom the home is opened for."""
    left = [shutil.disk_usage(home.root).free - bounds.free_bytes]
    if bounds.visitor_bytes is not None:
        left.append(_left_to_visitor(home, bounds.visitor_bytes))
    if bounds.all_bytes is not None:
        left.append(_left_to_all(home, bounds.all_bytes))
    return min(left)


def _left_to_visitor(home: Home, most: int) -> int:
    """What the own uploads and data versions leave of it."""
    return most - bytes_of(home.uploads) - bytes_of_versions(home)


def _left_to_all(home: Home, most: int) -> int:
    return most - bytes_of(home.root / "uploads") - bytes_of_all(home)


def discard(path: Path, home: Home) -> bool:
    """Removes an upload that was refused, unless something refers to it; whether it did."""
    inside = home.uploads.resolve() in path.resolve().parents
    if not inside or not NAME.fullmatch(path.name) or path.name in names_in_use(home):
        return False
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return True


def leftovers(home: Home) -> list[Path]:
    """Uploads that nothing refers to, exports and examined data that were made on the way: all older than a day."""
    used, uploads = names_in_use(home), home.root / "uploads"
    given = [*uploads.glob("*")]
    given += [path for folder in given if not NAME.fullmatch(folder.name) for path in folder.glob("*")]  # a visitor's
    unused = [path for path in given if NAME.fullmatch(path.name) and path.name not in used]
    unused += [path for path in given if path.name.endswith(".part")]
    made = [path for folder in ("exports", "examined") for path in (home.root / folder).glob("*")]
    now = time.time()
    return sorted(path for path in [*unused, *made] if now - newest(path) > FORGOTTEN_S)


def names_in_use(home: Home) -> set[str]:
    """Names of uploads that a run's recipe, a checkpoint, a preset or a labelling project has in it."""
    texts = [*(home.root / "runs").glob("*/recipe.yaml"), *home.checkpoints.glob("*.json")]
    texts += [*(home.root / "presets").glob("*.yaml"), *(home.root / "labels").rglob("*.jsonl")]
    names: set[str] = set()
    for path in texts:
        try:
            names.update(match.decode() for match in _IN_TEXT.findall(path.read_bytes()))
        except OSError:  # deleted meanwhile
            continue
    return names


def newest(path: Path) -> float:
    """When the newest file of a folder, or a file, was written."""
    times = [0.0]
    for file in [path, *path.rglob("*")]:
        try:
            times.append(file.stat().st_mtime)
        except OSError:
            continue
    return max(times)


def bytes_of(folder: Path) -> int:
    """What the files of a folder take."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except OSError:
                continue
    return total


def safe_name(name: str) -> str:
    """A file name that means nothing to any system: no separators, no leading dot, at most NAME_BYTES long in UTF-8.

    Windows device names such as `con` get an underscore.
    """
    plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]+', "_", name).strip(" .")[:80]
    plain = plain.encode("utf-8", "replace")[:NAME_BYTES].decode("utf-8", "ignore").strip(" .") or "unnamed"
    return f"{plain}_" if re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", plain) else plain


def _unlike(name: str, taken: set[str]) -> str:
    """`name`, with a number where another class has it already: long names are cut, and case may not count."""
    number, free = 1, name
    while free.lower() in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    try:
        shutil.copyfile(source, part)
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"{source.name} can't be kept in {target.parent} ({error.strerror}).") from error


def _mb(size: int) -> str:
    return f"{size / 2**20:,.1f} MB"
