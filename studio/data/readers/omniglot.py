"""`omniglot:PATH`: characters of fifty alphabets, as torchvision lays them out or as the original zips.

A class is `Alphabet/characterNN` and its domain the alphabet, so that protocols within one alphabet
and between alphabets are both possible. A published split is a list of classes: `?classes=train.txt`.
"""

from pathlib import Path, PurePosixPath

from studio.core.errors import DataError, nearest
from studio.data.files.archives import Archive
from studio.data.files.layout import Entry, gather
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.items import Dataset, ImageSource
from studio.data.readers.folder import walk

OPTIONS = {
    "level": "character (default), or alphabet to make whole alphabets the classes",
    "alphabets": "some alphabets, joined by +",
    "classes": "a text file of Alphabet/characterNN lines; a rotation after them, as in Vinyals' split, is ignored",
}


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where no `Alphabet/characterNN/*.png` is found, or an option names what is not there."""
    path = Path(rest).expanduser()
    if not path.exists():
        raise no_such(path, "file or folder")
    level = options.get("level", "character")
    if level not in ("character", "alphabet"):
        raise DataError(f"omniglot: level is {level!r}; expected character or alphabet.")
    sources = walk(path)[0] if path.is_dir() else Archive(path, limits).sources()
    entries = [entry for name, source in sorted(sources.items()) if (entry := _entry(name, source)) is not None]
    if not entries:
        raise DataError(f"{path} holds no Omniglot characters; expected Alphabet/character01/0001_01.png and so on.")
    if "alphabets" in options:
        entries = _of_alphabets(entries, options["alphabets"].split("+"))
    if "classes" in options:
        entries = _of_classes(entries, Path(options["classes"]).expanduser())
    if level == "alphabet":
        entries = [Entry(entry.name, entry.domain or "", entry.source, domain=entry.domain) for entry in entries]
    return gather(path.name, entries, [], limits)


def _entry(name: str, source: ImageSource) -> Entry | None:
    *_, alphabet, character, file = ("", "", *PurePosixPath(name).parts)
    if not alphabet or alphabet.startswith((".", "__")) or not character.startswith("character"):
        return None
    if not file.endswith(".png") or file.startswith("."):
        return None
    return Entry(name, f"{alphabet}/{character}", source, domain=alphabet)


def _of_alphabets(entries: list[Entry], wanted: list[str]) -> list[Entry]:
    known = {entry.domain or "" for entry in entries}
    for name in wanted:
        if name not in known:
            raise DataError(f"omniglot: there is no alphabet {name!r} here.{nearest(name, known)}")
    return [entry for entry in entries if entry.domain in wanted]


def _of_classes(entries: list[Entry], file: Path) -> list[Entry]:
    if not file.is_file():
        raise DataError(f"omniglot: there is no file {file}.")
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    wanted = {"/".join(line.split("/")[:2]) for line in lines}
    lacking = sorted(wanted - {entry.label for entry in entries})
    if lacking:
        raise DataError(f"omniglot: {file.name} lists {len(lacking)} classes not found here, such as {lacking[0]!r}.")
    return [entry for entry in entries if entry.label in wanted]
