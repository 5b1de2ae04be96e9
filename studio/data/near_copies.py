"""Scored images that are nearly the same as ones that were learned from: bursts, copies saved in another way.

A score on them says less about images to come. Exact copies are kept on one side of a split, or told
(`studio.data.splits.leaks`); near ones are only told.
"""

from collections.abc import Sequence

from studio.core.home import Home
from studio.data.checks.fingerprints import SMALL, Fingerprint, fingerprint_of, near_groups
from studio.data.files.images import BadImage, read_image
from studio.data.files.limits import limits_of
from studio.data.items import Item

MOST = 1000  # images that are looked at; `data check` looks at all


def near_copies(learned: Sequence[Item], scored: Sequence[Item], home: Home | None = None) -> list[int]:
    """Indices into `scored` of images that have a near copy in `learned`; none where there are more than MOST."""
    if len(learned) + len(scored) > MOST:
        return []
    prints = {at: seen for at, item in enumerate([*learned, *scored]) if (seen := _look(item, home)) is not None}
    places = list(prints)
    copies = set()
    for group in near_groups(list(prints.values())):
        rows = [places[index] for index in group]
        if any(row < len(learned) for row in rows):
            copies |= {row - len(learned) for row in rows if row >= len(learned)}
    return sorted(copies)


def _look(item: Item, home: Home | None) -> Fingerprint | None:
    try:
        return fingerprint_of(read_image(item.source, item.name, min_side=SMALL, limits=limits_of(home)))
    except BadImage:  # told by whoever learns from it
        return None
