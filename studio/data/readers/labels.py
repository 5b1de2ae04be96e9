"""`labels:NAME`: the images of a labelling project that are labelled so far, each with its class, boxes or mask.

`?at=N` takes what the project said after its first N acts, so that a run can be repeated while labelling goes on.
Images stay where they are: the project's own data spec is opened anew, and names tell which image is meant.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from studio.core.errors import DataError
from studio.core.home import Home
from studio.data.boxes import Boxes
from studio.data.files.images import BadImage, upright
from studio.data.files.limits import Limits
from studio.data.items import Dataset, Item, Skipped
from studio.data.masks.drawn import GROUND
from studio.data.masks.outlines import Outlined
from studio.store.labelling import Labels, Project, Truth

OPTIONS = {"at": "what the project said after so many acts (default: what it says now)"}


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises UsageError for a project that is not there, DataError where nothing is labelled yet."""
    at = options.get("at")
    if at is not None and not at.isdecimal():
        raise DataError(f"labels:{rest}?at={at}: expected how many acts of the project count, such as at=40.")
    labels = Project(limits.home or Home.find(), rest).read(int(at) if at else None)
    return dataset_of(labels, images_of(labels, limits), limits)


def images_of(labels: Labels, limits: Limits) -> Dataset:
    """All images of a project, with whatever labels they came with."""
    from studio.data.specs import open_data

    dataset = open_data(labels.spec, limits)
    if not isinstance(dataset, Dataset):
        raise DataError(f"data: {labels.spec!r} holds feature vectors; expected images.")
    return dataset


def dataset_of(labels: Labels, images: Dataset, limits: Limits) -> Dataset:
    """Those of `images` that a project has a truth for; classes are those met, in the project's order."""
    by_name = {item.name: item for item in images.items}
    classes = _classes(labels)
    out = Dataset("", classes, [], list(images.skipped))
    labelled = {"classes": _with_class, "boxes": _with_boxes, "masks": _with_mask}[labels.kind]
    give = partial(labelled, index={name: number for number, name in enumerate(classes)}, limits=limits)
    for name, truth in labels.truths.items():
        _take(name, by_name.get(name), partial(give, truth=truth), out)
    if not out.items:
        raise DataError("labels: no image of this project is labelled yet. Label some, and open it again.")
    return out


def _take(name: str, item: Item | None, give: Callable[..., Item], out: Dataset) -> None:
    if item is None:
        out.skipped.append(Skipped(name, "it was labelled, and is not among the images any more"))
        return
    try:
        out.items.append(give(replace(item, label=-1, boxes=None, mask=None)))
    except BadImage as error:
        out.skipped.append(Skipped(name, error.reason))


def _classes(labels: Labels) -> list[str]:
    used = {truth["label"] for truth in labels.truths.values() if "label" in truth}
    used |= {
        thing[0] for truth in labels.truths.values() for thing in (*truth.get("boxes", ()), *truth.get("shapes", ()))
    }
    names = [name for name in labels.classes if name in used]
    return [GROUND, *(name for name in names if name != GROUND)] if labels.kind == "masks" else names


def _with_class(item: Item, truth: Truth, index: dict[str, int], limits: Limits) -> Item:
    return replace(item, label=index[truth["label"]])


def _with_boxes(item: Item, truth: Truth, index: dict[str, int], limits: Limits) -> Item:
    _check_size(item, truth, limits)
    boxes = Boxes.of([box[1:] for box in truth["boxes"]], [index[box[0]] for box in truth["boxes"]])
    return replace(item, boxes=boxes)


def _with_mask(item: Item, truth: Truth, index: dict[str, int], limits: Limits) -> Item:
    shapes = tuple((index[name], shape) for name, shape in truth["shapes"])
    return replace(item, mask=Outlined(_check_size(item, truth, limits), shapes))


def _check_size(item: Item, truth: Truth, limits: Limits) -> tuple[int, int]:
    """Width and height. Raises BadImage where the image is not of the size it was labelled at."""
    size, _ = upright(item.source, item.name, limits)
    if list(size) != list(truth["size"]):
        raise BadImage(item.name, f"it was labelled at {tuple(truth['size'])} pixels and now has {size}")
    return size
