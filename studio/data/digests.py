"""Content hashes of many images, remembered by (path, size, time) so that a second run need not read them."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from studio.core.home import Home
from studio.data.items import FileSource, ImageSource


def digests(sources: Sequence[ImageSource], home: Home | None = None, workers: int = 4) -> list[str | None]:
    """SHA-256 of each image's content, None where it can't be read; with `home`, remembered there."""
    known = _load(home)
    fresh: dict[str, list] = {}

    def one(source: ImageSource) -> str | None:
        key, mark = _mark(source)
        if key is not None and key in known and known[key][:2] == mark:
            return known[key][2]
        try:
            found = source.digest()
        except OSError:
            return None
        if key is not None:
            fresh[key] = [*mark, found]
        return found

    with ThreadPoolExecutor(workers) as pool:
        result = list(pool.map(one, sources, chunksize=16))
    if home is not None and fresh:
        _save(home, fresh)
    return result


def _mark(source: ImageSource) -> tuple[str | None, list[int]]:
    if not isinstance(source, FileSource):
        return None, []
    try:
        facts = os.stat(source.path)
    except OSError:
        return None, []
    return str(source.path.absolute()), [facts.st_size, facts.st_mtime_ns]


def _load(home: Home | None) -> dict[str, list]:
    try:
        return json.loads((home.features / "digests.json").read_text(encoding="utf-8")) if home else {}
    except (OSError, ValueError):
        return {}


def _save(home: Home, fresh: dict[str, list]) -> None:
    """Adds to what is remembered. Of two writers at once the later wins; it only costs hashing again."""
    path = home.features / "digests.json"
    part = path.with_name(f"digests.{os.getpid()}.part")
    part.write_text(json.dumps({**_load(home), **fresh}), encoding="utf-8")
    os.replace(part, path)
