"""The two domains of a segmentation recipe: a source with masks, and a target whose masks are shown to nobody."""

from typing import TYPE_CHECKING

from adapters.segment.data.splits import resolve_mask_splits, same_classes
from studio.core.errors import DataError
from studio.core.home import Home
from studio.data.domains import Domains, blind, require_domains, target_of
from studio.data.items import Dataset

if TYPE_CHECKING:
    from studio.core.recipe import Recipe


def resolve_mask_domains(recipe: "Recipe", home: Home | None = None) -> Domains:
    """What a recipe's data.source, data.target and data.test name. The target's masks, if any, are taken away here.

    Raises UsageError where a domain is not named, DataError where the source has no masks, the target is smaller than
    a batch, or what is scored has other classes than the source.
    """
    data, settings = recipe.data, recipe.train
    require_domains(data.source, data.target, "a method that adapts")
    named = data.model_copy(update={"train": data.source, "test": None})
    splits = resolve_mask_splits(named, settings.seed, home, called="source")
    learned, test, where = target_of(data.target, data.test, home)
    require_batch(learned, settings.batch_size)
    scored = scored_of(test, splits.train.classes, bool(data.test), "the source")
    note = f"{splits.note} Target: {len(learned)} images without their masks."
    if scored is not None:
        note += f" Scored on {where}; no mask of the target chooses anything."
    return Domains(splits.train, splits.val, blind(learned), scored, note)


def require_batch(target: Dataset, size: int) -> None:
    """Raises DataError where the target has fewer images than a batch."""
    if len(target) < size:
        raise DataError(
            f"data.target: {target.spec} has {len(target)} images, fewer than a batch of {size} (train.batch_size). "
            f"Add images, or set train.batch_size to {max(1, len(target))}."
        )


def scored_of(test: Dataset, classes: list[str], given: bool, known: str) -> Dataset | None:
    """The images that are scored, with indices into `classes`; None where the target has no masks to score by.

    `given`: data.test names them, so that they must have masks. `known` is what has the classes, in words. Raises
    DataError where they have none, or other classes.
    """
    if test.masked:
        return same_classes(test, classes, "test" if given else "target", known)
    if given:
        raise DataError(f"data.test: {test.spec} has no masks to score by. Leave it out, or name images with masks.")
    return None
