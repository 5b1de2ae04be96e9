"""`reid:PLACE?layout=NAME`: individuals, each seen several times, by the layout of a public set or of a person's own.

    reid:Market-1501-v15.09.15               bounding_box_train, query, bounding_box_test
    reid:cuhk03?boxes=labeled                images_labeled or cuhk-03.mat, cuhk03_new_protocol_config_labeled.mat
    reid:cows                                a folder each cow, folders of cameras in it or not
    reid:fish?names={identity}_c{camera}_{}  names that say it
    reid:seals.csv?images=photos             a table: image, identity, camera, split

Without ?layout= it is told from what is there. The place may be a folder, a zip or a table.
"""

from pathlib import Path, PurePosixPath

from studio.core.errors import DataError, nearest
from studio.data.files.archives import Archive
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.zip_paths import AnyPath, ZipPath
from studio.data.identities.cuhk03 import read_cuhk03
from studio.data.identities.entries import dataset_of
from studio.data.identities.folders import read_folders, read_names
from studio.data.identities.msmt17 import read_msmt17
from studio.data.identities.published import READERS, Reading
from studio.data.identities.table import read_table
from studio.data.items import Dataset, Skipped

ALONE = {**READERS, "msmt17": read_msmt17, "folders": read_folders}  # layouts without options
LAYOUTS = sorted((*ALONE, "cuhk03"))
OPTIONS = {
    "layout": f"one of {', '.join(LAYOUTS)}", "names": "a pattern of names, such as {identity}/{camera}_{}.jpg",
    "boxes": "of cuhk03: detected (default) or labeled", "protocol": "of cuhk03: new (default) or classic",
    "images": "of a table: the folder of its images",
}  # fmt: skip
#: what tells a layout, in this order
MARKS = {
    "bounding_box_train": "market1501", "image_query": "veri776", "list_query.txt": "msmt17", "cam_a": "viper",
    "images_detected": "cuhk03", "images_labeled": "cuhk03", "cuhk-03.mat": "cuhk03",
}  # fmt: skip

SYSTEM = {"__MACOSX", ".DS_Store"}  # what packing leaves beside


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where nothing is there, or it is not as the layout says."""
    path = Path(rest).expanduser()
    if not path.exists():
        raise no_such(path, "folder or file")
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        images = Path(options["images"]).expanduser() if "images" in options else None
        reading, missing = read_table(path, images, limits)
    else:
        root: AnyPath = path if path.is_dir() else ZipPath(Archive(path, limits))
        reading, missing = _reading(public_set(root) or root, options, limits), list[Skipped]()
    return dataset_of(str(path), reading.entries, missing, limits, reading.remarks)


def _reading(root: AnyPath, options: dict[str, str], limits: Limits) -> Reading:
    if "names" in options:
        if "layout" in options:
            raise DataError("reid: ?layout= and ?names= both say how files are named; give one of them.")
        return read_names(root, options["names"], limits)
    layout = options.get("layout") or _layout_of(root)
    if layout not in LAYOUTS:
        raise DataError(f"reid: there is no layout {layout!r}.{nearest(layout, LAYOUTS)}")
    if layout == "cuhk03":
        return read_cuhk03(root, options.get("boxes", "detected"), options.get("protocol", "new"), limits)
    if odd := sorted(options.keys() & {"boxes", "protocol", "images"}):
        raise DataError(f"reid: ?{odd[0]}= says nothing of the layout {layout}.")
    return ALONE[layout](root, limits)


def public_set(root: AnyPath) -> AnyPath | None:
    """Where a public set of individuals lies: here, or in the only folder that is here; None where it is none."""
    if isinstance(root, ZipPath):
        names = {PurePosixPath(name).parts[0] for name in root.archive.names} - SYSTEM
    else:
        names = {path.name for path in root.iterdir()} - SYSTEM
    folders = [root, *(root / name for name in names if len(names) == 1)]
    return next((folder for folder in folders if any((folder / mark).exists() for mark in MARKS)), None)


def _layout_of(root: AnyPath) -> str:
    """The layout that the names of folders and files tell."""
    return next((layout for mark, layout in MARKS.items() if (root / mark).exists()), "folders")
