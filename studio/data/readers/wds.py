"""`wds:SHARDS`: tar files as WebDataset writes them, here or elsewhere: `wds:photos-{000..011}.tar`, or their folder.

Members whose paths agree up to the first dot are one sample: `0001.jpg` and `0001.cls`, whose text is the class; where
no sample has a `.cls`, the folders in the tar are the classes, as in a zip. Shards called train-..., val-..., test-...
are splits. Samples come in the order of their paths, whatever the order of the shards.
"""

import re
from pathlib import Path, PurePosixPath

from studio.core.addresses import is_remote
from studio.core.errors import DataError
from studio.data.files.layout import SPLITS, Entry, by_folders, gather, part
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.remote import RemoteTree
from studio.data.files.tar_shards import Shard, Shards
from studio.data.items import Dataset, Skipped

OPTIONS: dict[str, str] = {}
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_SHARDS = 100_000


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for shards that are missing, compressed, unsafe, or hold no image with a class."""
    name = PurePosixPath(rest.replace("\\", "/").rstrip("/")).name
    shards = [Shard(place, limits) for place in places(rest, limits)]
    damaged = [Skipped(shard.name, damage) for shard in shards for damage in shard.damage]
    labelled = any(member.name.endswith(".cls") for shard in shards for member in shard.members)
    dataset = _by_classes(name, shards, limits) if labelled else _by_paths(name, shards, limits)
    dataset.skipped += damaged
    return dataset


def places(rest: str, limits: Limits) -> list[str]:
    """The shards that `rest` names, in order. Raises DataError."""
    match = RANGE.search(rest)
    if match:
        first, last = match.groups()
        numbers = range(int(first), int(last) + 1)
        if not 0 < len(numbers) <= MOST_SHARDS:
            raise DataError(f"wds: {match[0]} names {len(numbers)} shards; expected 1 to {MOST_SHARDS:,}.")
        filled = (f"{number:0{len(first)}d}" for number in numbers)
        return [rest[: match.start()] + number + rest[match.end() :] for number in filled]
    if rest.lower().endswith(".tar"):
        return [rest]
    if is_remote(rest):
        names = [name for name in RemoteTree(rest, limits).names if name.lower().endswith(".tar")]
        found = [f"{rest.rstrip('/')}/{name}" for name in sorted(names)]
    else:
        folder = Path(rest).expanduser()
        if not folder.is_dir():
            raise no_such(folder, "folder or .tar")
        found = [str(path) for path in sorted(folder.rglob("*.tar"))]
    if not found:
        raise DataError(f"wds: {rest} holds no .tar file.")
    return found


def _by_paths(name: str, shards: list[Shard], limits: Limits) -> Dataset:
    tree = Shards(name, shards)
    dataset = by_folders(name, tree.sources(), limits)
    dataset.skipped += [Skipped(twice, "another shard has a file of this path") for twice in tree.twice]
    return dataset


def _by_classes(name: str, shards: list[Shard], limits: Limits) -> Dataset:
    tree = Shards(name, shards)
    if tree.twice:
        tree = Shards(name, shards, prefixed=True)
    split_of = {PurePosixPath(shard.name).stem: _split(shard.name) for shard in shards}
    divided = "train" in split_of.values()
    sources, entries, skipped = tree.sources(), [], list[Skipped]()
    images, _ = part({path: source for path, source in sources.items() if tree.words(path) is None})
    for path in images:
        whole = str(path)
        key = path.parent / path.name.partition(".")[0]
        label = (tree.words(f"{key}.cls") or "").strip()
        if label:
            split = split_of[tree.shard_of(whole)] if divided else None
            entries.append(Entry(whole, label, sources[whole], split))
        else:
            skipped.append(Skipped(whole, "its sample has no .cls, or an empty one"))
    if not entries:
        raise DataError(f"{name} holds no image with a class. Expected samples such as 0001.jpg and 0001.cls.")
    return gather(name, entries, skipped, limits)


def _split(shard: str) -> str | None:
    return SPLITS.get(re.split(r"[\W_\d]", shard.lower(), maxsplit=1)[0])
