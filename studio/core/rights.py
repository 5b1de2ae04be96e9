"""Who asks, and what they may open: this machine's own user everything, a visitor of a hosted page their own.

A page hosted for others gives each visitor a name. Whatever is filed for a visitor carries it (`Home.visitor`), and the
doors decide by it: data, weights, checkpoints, runs and files are opened only where `Rights` says so.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studio.core.errors import UsageError

VISITOR = re.compile(r"[a-z0-9]{8,64}")
MADE_HERE = "builtin"  # the scheme of data that is drawn on the spot
LABELLED_HERE = "labels"  # that of labelling projects: of names among one's own, never of paths
SAVED_HERE = "version"  # that of data versions, likewise


@dataclass(frozen=True)
class Rights:
    """What one who asks may open. `visitor` is None for this machine's user; `uploads` is where a visitor's own lie."""

    visitor: str | None = None
    uploads: Path | None = None

    @property
    def local(self) -> bool:
        return self.visitor is None

    @property
    def hub_token(self) -> Literal[False] | None:
        """As the hub's client takes it: None is the owner's own token, False none at all."""
        return None if self.local else False

    def owns(self, visitor: str | None) -> bool:
        """Whether what was made for `visitor` (None: for this machine's user) may be seen, stopped and used."""
        return self.local or visitor == self.visitor

    def may_read(self, path: Path) -> bool:
        """Whether a file or folder may be opened; links are followed before it is decided."""
        if self.local:
            return True
        try:
            real = path.expanduser().resolve()
        except (OSError, RuntimeError, ValueError):
            return False
        return self.uploads is not None and self.uploads.resolve() in real.parents

    def require(self, path: Path, key: str) -> None:
        """Raises UsageError, with the same words whether the file is there or not, where it may not be read."""
        if not self.may_read(path):
            raise not_uploaded(key)


def not_uploaded(name: str) -> UsageError:
    """What is said of a file that is none of a visitor's own."""
    return UsageError(f"{name}: a page hosted for others opens what you have uploaded, and no other file.")


LOCAL = Rights()
