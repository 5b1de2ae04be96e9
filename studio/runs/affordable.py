"""What a visitor of a hosted page may ask of the machine: so many pixels at once, one process, an hour at a time, and
so many hours of computing a day.

This machine's own user asks what they like. Rights (`openable`) say what may be opened, the queue how many may run.
"""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from studio.core.errors import UsageError
from studio.core.recipe import Recipe
from studio.core.rights import Rights
from studio.store import Store

PIXELS_AT_ONCE = 64 * 640 * 640  # of all images of a batch that are computed together; some 8 GB with a large backbone
OWN_SIDE = 224  # pixels, of an image whose size the recipe leaves to its backbone
MINUTES = 60.0  # that a run is worked on before it makes room for others; it can be gone on with
DAY_S, HOURS_A_DAY = 86_400.0, 4.0  # a visitor's runs of the last day, those at work included, compute so long together


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


def require_time(store: Store) -> None:
    """Raises UsageError where the runs of the visitor whose store this is have computed for their hours of the day."""
    if not store.home.rights.local and left_s(store) <= 0:
        raise UsageError(
            f"Your runs have computed for {HOURS_A_DAY:g} hours in the last day, which is what a visitor of this page "
            "is given. Try again later; a run that was stopped for it can be resumed then."
        )


def left_s(store: Store) -> float:
    """Seconds that a visitor's runs may still compute today; endless for this machine's own user."""
    if store.home.rights.local:
        return math.inf
    since = datetime.now(UTC) - timedelta(seconds=DAY_S)
    rows = [row for row in store.runs() if row["created"] and datetime.fromisoformat(row["created"]) > since]
    return 3600 * HOURS_A_DAY - sum(row["worked_s"] for row in rows)


def out_of_time(store: Store, note: Callable[[str], object]) -> Callable[[], bool]:
    """A function that says whether the time of a visitor's run is up, and notes it once; never for others."""
    minutes = min(MINUTES, max(0.0, left_s(store)) / 60)
    end, noted = time.monotonic() + 60 * minutes, False

    def is_up() -> bool:
        nonlocal noted
        if store.home.rights.local or time.monotonic() < end:
            return False
        if not noted:
            note(
                f"A hosted page works on a run for {MINUTES:g} minutes at a time, and for {HOURS_A_DAY:g} hours a day "
                "on those of one visitor. It was saved, and can be resumed."
            )
        noted = True
        return True

    return is_up
