"""A SQLite memo of listing rows, so that a list of a thousand runs costs a thousand file stamps instead
of a thousand event streams and manifests. It is never the only place of anything: each row carries
the stamp of the file it was read from and a checksum, and what does not fit is read from the files
again. Deleting or damaging it costs one slower listing.
"""

import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

Row = dict[str, Any]
FORMAT = 2  # of rows: raised where they say more than before
_BUSY = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)


class Index:
    """Rows of listings by kind and id."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, kind: str, stamps: Mapping[str, str], read: Callable[[str], Row]) -> dict[str, Row]:
        """A row for each id of `stamps`; `read(id)` is asked only where the stamp is new."""
        known = self._load(kind, stamps)
        fresh = {key: read(key) for key in stamps if key not in known}
        if fresh:
            self._save(kind, stamps, fresh)
        return {**known, **fresh}

    def _load(self, kind: str, stamps: Mapping[str, str]) -> dict[str, Row]:
        try:
            with closing(self._open()) as base:
                found = base.execute("SELECT id, stamp, crc, row FROM rows WHERE kind = ?", (kind,)).fetchall()
            return {
                key: json.loads(text)
                for key, stamp, crc, text in found
                if stamps.get(key) == stamp and crc == _crc(key, stamp, text)
            }
        except (sqlite3.Error, ValueError, TypeError) as error:
            self._discard_if_damaged(error)
            return {}

    def _save(self, kind: str, stamps: Mapping[str, str], fresh: Mapping[str, Row]) -> None:
        texts = {key: json.dumps(row) for key, row in fresh.items()}
        values = [(kind, key, stamps[key], _crc(key, stamps[key], text), text) for key, text in texts.items()]
        try:
            with closing(self._open()) as base, base:
                base.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", values)
                gone = {key for (key,) in base.execute("SELECT id FROM rows WHERE kind = ?", (kind,))} - set(stamps)
                base.executemany("DELETE FROM rows WHERE kind = ? AND id = ?", [(kind, key) for key in gone])
        except sqlite3.Error as error:
            self._discard_if_damaged(error)

    def _open(self) -> sqlite3.Connection:
        base = sqlite3.connect(self.path, timeout=2.0)
        try:
            if base.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
                base.execute("PRAGMA journal_mode = WAL")
                base.executescript(
                    f"""BEGIN IMMEDIATE;
                    DROP TABLE IF EXISTS rows;
                    CREATE TABLE rows (kind TEXT, id TEXT, stamp TEXT, crc INTEGER, row TEXT, PRIMARY KEY (kind, id));
                    PRAGMA user_version = {FORMAT};
                    COMMIT;"""
                )
            base.execute("PRAGMA synchronous = OFF")  # what a power cut spoils is read anew
            return base
        except BaseException:
            base.close()
            raise

    def _discard_if_damaged(self, error: Exception) -> None:
        """Deletes the index, unless it is only busy or can't be written now: the files are there anyway."""
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _BUSY:
            return
        for suffix in ("", "-wal", "-shm"):
            try:
                os.unlink(f"{self.path}{suffix}")
            except OSError:  # not there, or another process has it open on Windows
                continue


def stamp(path: Path) -> str:
    """What changes whenever a file is written; empty for one that isn't there."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size}-{found.st_mtime_ns}"


def _crc(*texts: str) -> int:
    return zlib.crc32("\0".join(texts).encode())
