"""The home folder: where runs, checkpoints, features, presets and locks are kept."""

import os
from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import UsageError


@dataclass(frozen=True)
class Home:
    """Paths below `STUDIO_HOME` (default `~/.transfer-studio`). Two processes may use one home."""

    root: Path

    @classmethod
    def find(cls, root: str | os.PathLike[str] | None = None) -> "Home":
        """The home named by `root`, else by STUDIO_HOME, else the default; made if it is not there.

        Raises UsageError where the folder can't be made or written.
        """
        chosen = root or os.environ.get("STUDIO_HOME") or Path.home() / ".transfer-studio"
        home = cls(Path(chosen).expanduser().resolve())
        home._make()
        return home

    def _make(self) -> None:
        folders = (self.runs, self.checkpoints, self.blobs, self.features, self.presets, self.locks, self.uploads)
        try:
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
    def presets(self) -> Path:
        return self.root / "presets"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def uploads(self) -> Path:
        return self.root / "uploads"

    @property
    def index(self) -> Path:
        return self.root / "index.sqlite"
