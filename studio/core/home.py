"""The home folder: where runs, checkpoints, features, presets and locks are kept."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from studio.core.errors import UsageError
from studio.core.rights import VISITOR, Rights


@dataclass(frozen=True)
class Home:
    """Paths below `STUDIO_HOME` (default `~/.transfer-studio`). Two processes may use one home.

    `visitor` is whom of a hosted page this home is opened for; None is this machine's own user.
    """

    root: Path
    visitor: str | None = None

    @classmethod
    def find(cls, root: str | os.PathLike[str] | None = None) -> "Home":
        """The home named by `root`, else by STUDIO_HOME, else the default; made if it is not there.

        Raises UsageError where the folder can't be made or written.
        """
        chosen = root or os.environ.get("STUDIO_HOME") or default_root()
        home = cls(Path(chosen).expanduser().resolve())
        home._make()
        return home

    def seen_by(self, visitor: str | None) -> "Home":
        """The same home for a visitor of a hosted page. Raises ValueError for a name that is none."""
        if visitor is not None and not VISITOR.fullmatch(visitor):
            raise ValueError(f"{visitor!r} names no visitor")
        return replace(self, visitor=visitor)

    def open_to_others(self) -> str | None:
        """A sentence where other users of this machine can read the folder, which may be meant so; None else."""
        if os.name == "nt" or not self.root.stat().st_mode & 0o077:
            return None
        return f"Other users of this machine can read {self.root}, runs and photos too; chmod 700 {self.root} ends it."

    @property
    def rights(self) -> Rights:
        """What may be opened for whom this home is opened for."""
        return Rights(self.visitor, self.uploads if self.visitor else None)

    def _make(self) -> None:
        folders = (self.runs, self.checkpoints, self.blobs, self.features, self.presets, self.locks, self.uploads)
        try:
            if not self.root.exists():
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)  # runs and photos are nobody else's
            elif self.root == default_root() and self.root.stat().st_mode & 0o077:
                self.root.chmod(0o700)  # made by an earlier version; a folder that was named may be shared on purpose
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"The home folder {self.root} can't be written ({error.strerror or error}). "
                "Set STUDIO_HOME to a folder you may write to."
            ) from error
        if not os.access(self.root, os.W_OK):
            raise UsageError(
                f"The home folder {self.root} can't be written. Set STUDIO_HOME to a folder you may write to."
            )

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def features(self) -> Path:
        return self.root / "features"

    @property
    def fetched(self) -> Path:
        """Copies of files from elsewhere, which may go at any time."""
        return self.root / "fetched"

    @property
    def presets(self) -> Path:
        """Of this machine's user; a visitor has none but the shipped ones."""
        return self.uploads / "presets" if self.visitor else self.root / "presets"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def uploads(self) -> Path:
        """What was given to the page; a visitor's lie apart."""
        return self.root / "uploads" / self.visitor if self.visitor else self.root / "uploads"

    @property
    def exports(self) -> Path:
        """What the page wrote to be taken away; a visitor's lie apart."""
        return self.root / "exports" / self.visitor if self.visitor else self.root / "exports"

    @property
    def labels(self) -> Path:
        """Labelling projects; a visitor's lie apart."""
        return self.root / "labels" / self.visitor if self.visitor else self.root / "labels"

    @property
    def versions(self) -> Path:
        """Data versions; a visitor's lie apart."""
        return self.root / "versions" / self.visitor if self.visitor else self.root / "versions"

    @property
    def index(self) -> Path:
        return self.root / "index.sqlite"


def default_root() -> Path:
    """Where the home is when nothing says otherwise."""
    return Path.home() / ".transfer-studio"
