"""What a visitor of a hosted page may ask of the machine: so many pixels at once, one process, and an hour at a time.

This machine's own user asks what they like. Rights (`openable`) say what may be opened, the queue how many may run.
"""

import time
from collections.abc import Callable

from studio.core.errors import UsageError
from studio.core.recipe import Recipe
from studio.core.rights import Rights

PIXELS_AT_ONCE = 64 * 640 * 640  # of all images of a batch that are computed together; some 8 GB with a large backbone
OWN_SIDE = 224  # pixels, of an image whose size the recipe leaves to its backbone
MINUTES = 60.0  # that a run is worked on before it makes room for others; it can be gone on with


def require_affordable(recipe: Recipe, rights: Rights) -> None:
    """Raises UsageError where a visitor's recipe takes more memory or processes than a stranger is given."""
    if rights.local:
        return
    train, side = recipe.train, recipe.model.image_size or OWN_SIDE
    if train.processes > 1:
        raise UsageError(f"train.processes: found {train.processes}; a hosted page works on each run in one process.")
    images = min(train.batch_size, train.micro_batch or train.batch_size)
    most = PIXELS_AT_ONCE // side**2
    if images > most:
        raise UsageError(
            f"train.batch_size: found {images} images of {side} x {side} pixels at once; a hosted page computes "
            f"{most} of this size. Take a smaller batch or train.micro_batch, or smaller images."
        )


def out_of_time(rights: Rights, note: Callable[[str], object]) -> Callable[[], bool]:
    """A function that says whether the time of a visitor's run is up, and notes it once; never for others."""
    end, noted = time.monotonic() + 60 * MINUTES, False

    def is_up() -> bool:
        nonlocal noted
        if rights.local or time.monotonic() < end:
            return False
        if not noted:
            note(f"A hosted page works on a run for {MINUTES:g} minutes at a time. It was saved, and can be resumed.")
        noted = True
        return True

    return is_up
