"""`zip:FILE`: the layout of a folder, or annotated pictures (COCO, VOC, YOLO), read without unpacking to disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio.core.errors import DataError
from studio.core.texts import TextError
from studio.data.files.annotation_files import Unreadable, read_json, read_yaml
from studio.data.files.archives import Archive
from studio.data.files.layout import by_folders
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import ZipPath
from studio.data.items import Dataset
from studio.data.readers import coco, voc, yolo

OPTIONS = {
    "annotations": "the file or folder of annotations in the zip, where it holds several",
    "images": "the folder of the pictures in the zip, for COCO and VOC",
    "boxes": "xywh or xyxy, for COCO",
}


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for a missing, damaged, unsafe or empty archive, or one with several sets of annotations."""
    path = Path(rest).expanduser()
    archive = Archive(path, limits)
    found = _annotations(archive, limits)
    if wanted := options.get("annotations"):
        found = [one for one in found if str(one.path) == wanted.strip("/")] or _none(path, wanted, found)
    if len(found) > 1:
        raise DataError(
            f"{path.name} holds several sets of annotations: {', '.join(str(one.path) for one in found[:6])}. "
            f"Name one: zip:{path.name}?annotations={found[0].path}"
        )
    if found:
        return _read(found[0], options, limits)
    if options:
        raise DataError(f"{path.name} holds no annotations, so ?{next(iter(options))}= says nothing.")
    return by_folders(path.name, archive.sources(), limits)


def _annotations(archive: Archive, limits: Limits) -> list[ZipPath]:
    """What says where boxes are: files of COCO, YAMLs of YOLO, folders of VOC's XMLs."""
    files = [ZipPath(archive, name) for name in sorted(archive.names) if not name.startswith("__MACOSX/")]
    folders = {one.parent for one in files if one.suffix.lower() == ".xml" and _is_voc(one)}
    listed = [one for one in files if one.suffix == ".json" and _is_coco(one, limits)]
    described = [one for one in files if one.suffix in (".yaml", ".yml") and _is_yolo(one, limits)]
    return [*sorted(folders), *listed, *described]


def _read(found: ZipPath, options: dict[str, str], limits: Limits) -> Dataset:
    if found.suffix == ".json":
        return coco.read_from(found, _pictures(found, options, limits), options, limits)
    if found.suffix in (".yaml", ".yml"):
        return yolo.read_from(found, limits)
    return voc.read_from(found.parent if found.name == "Annotations" else found, options, limits)


def _pictures(found: ZipPath, options: dict[str, str], limits: Limits) -> ZipPath:
    """The folder that the names in a COCO file start from: the one that is named, else the first that has one."""
    if "images" in options:
        return ZipPath(found.archive, options["images"])
    names = [str(one.get("file_name", "")) for one in read_json(found, limits)["images"][:20]]
    for name in filter(None, names):
        for path in found.archive.names:
            if path == name or path.endswith(f"/{name}"):
                return ZipPath(found.archive, path[: -len(name)] or ".")
    return found.parent


def _is_voc(file: ZipPath) -> bool:
    """Its content is judged when it is read; here a tag is enough to tell it from any other XML."""
    try:
        return b"<annotation" in file.archive.read(str(file.path), 4096)
    except OSError:
        return False


def _is_coco(file: ZipPath, limits: Limits) -> bool:
    content = _content(file, read_json, limits)
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def _is_yolo(file: ZipPath, limits: Limits) -> bool:
    content = _content(file, read_yaml, limits)
    return isinstance(content, dict) and {"names", "train"} <= content.keys()


def _content(file: ZipPath, read: Callable[[ZipPath, Limits], Any], limits: Limits) -> Any:
    """What a file says; None where it is not of its format. One that is too large is refused by name."""
    try:
        return read(file, limits)
    except OSError:
        return None
    except Unreadable as error:
        if isinstance(error.__cause__, TextError | UnicodeDecodeError):
            return None
        raise


def _none(path: Path, wanted: str, found: list[ZipPath]) -> list[ZipPath]:
    known = ", ".join(str(one.path) for one in found[:6]) or "none"
    raise DataError(f"{path.name} has no annotations {wanted!r}; it has: {known}.")
