"""From annotated images to masks: the outlines of any format, drawn over a class background."""

from collections.abc import Iterable

from studio.core.errors import DataError
from studio.data.files.annotations import Annotated, drawn_upright
from studio.data.files.images import BadImage, upright
from studio.data.files.limits import Limits
from studio.data.items import Dataset, Item, Skipped
from studio.data.masks.class_map import MOST_CLASSES, MaskSource, Turned
from studio.data.masks.outlines import Outlined, fault_of

GROUND = "background"
OPTION = {"truth": "masks: the outlines of the objects are drawn as masks, to segment; boxes, to detect, otherwise"}


def wants_masks(options: dict[str, str]) -> bool:
    """Whether masks are asked for, not boxes. Raises DataError for another truth."""
    if options.get("truth", "boxes") not in ("boxes", "masks"):
        raise DataError(f"truth={options['truth']}: expected masks or boxes.")
    return options.get("truth") == "masks"


def draw_outlines(
    what: str, names: list[str], images: Iterable[Annotated], missing: list[Skipped], remarks: list[str], limits: Limits
) -> Dataset:
    """The images with their `outlines` as class maps, made when they are read, the larger shapes first.

    What can't be drawn goes into `skipped`. Raises DataError where nothing can be, or there are too many classes.
    """
    if len(names) >= MOST_CLASSES:
        raise DataError(f"{what}: {len(names)} categories; {MOST_CLASSES - 1} are read as masks.")
    classes, index_of = _over_background(names)
    out = Dataset("", classes, [], list(missing), remarks=list(remarks))
    drawn = 0
    for image in images:
        try:
            shown, orientation = upright(image.source, image.name, limits)
        except BadImage as error:
            out.skipped.append(Skipped(image.name, error.reason))
            continue
        stored = shown[::-1] if orientation >= 5 else shown
        straight = drawn_upright(image, shown, stored, orientation)
        size = shown if straight else stored
        faults = [fault_of(shape, size) for _, shape in image.outlines]
        out.skipped += [
            Skipped(f"{image.name}, outline {number}", fault) for number, fault in enumerate(faults, start=1) if fault
        ]
        shapes = tuple(
            (index_of[label], shape)
            for (label, shape), fault in zip(image.outlines, faults, strict=True)
            if not fault
        )  # fmt: skip
        drawn += len(shapes)
        mask: MaskSource = Outlined(size, shapes)
        if image.split:
            out.splits.setdefault(image.split, []).append(len(out.items))
        out.items.append(Item(image.name, -1, image.source, mask=mask if straight else Turned(mask, orientation)))
    if not out.items or not drawn:
        first = "; ".join(f"{skip.name}: {skip.reason}" for skip in out.skipped[:3])
        raise DataError(f"{what}: no outline of any image can be drawn. {first}.")
    return out


def _over_background(names: list[str]) -> tuple[list[str], list[int]]:
    """The classes with background first, and the place of each name; a category of that name is no other class."""
    things = [name for name in names if name.casefold() != GROUND]
    classes = [GROUND, *things]
    return classes, [classes.index(name) if name in things else 0 for name in names]
