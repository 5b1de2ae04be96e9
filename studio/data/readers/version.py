"""`version:NAME`: the images of a data set as they were when the version was saved (`launch.py data save NAME DATA`).

`?content=HASH` takes no other version of that name, as the recipes of runs have it.
"""

from studio.core.errors import DataError
from studio.core.home import Home
from studio.data.files.limits import Limits
from studio.data.items import Dataset
from studio.data.saved_version import dataset_of
from studio.store.versions import entries_of, facts_of

OPTIONS = {"content": "how the hash of the version's content begins; another content is refused"}


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises UsageError for a version that is not there, DataError for one of other content."""
    home, wanted = limits.home or Home.find(), options.get("content", "")
    facts = facts_of(home, rest)
    if not facts.content.startswith(wanted):
        raise DataError(
            f"version:{rest}: its content is {facts.short}, and {wanted[:40]} is asked for: the version of that name "
            "was deleted and another one saved. Name the version without ?content= to take what there is."
        )
    return dataset_of(facts, entries_of(home, rest), home)
