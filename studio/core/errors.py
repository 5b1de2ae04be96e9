"""Errors for people: what was found, what was expected, what to do.

Every error a user can cause is a `StudioError`; its `exit_code` is what the command line returns.
"""

import difflib
from collections.abc import Iterable


class StudioError(Exception):
    """Something a person can act on. The message is shown as it is, without a traceback.

    `checkpoint` names what was kept of the work so far, where something was.
    """

    exit_code = 1

    def __init__(self, message: str = "", checkpoint: str | None = None) -> None:
        super().__init__(message)
        self.checkpoint = checkpoint


class UsageError(StudioError):
    """Wrong usage or a wrong recipe: nothing was started (exit code 2)."""

    exit_code = 2


class DataError(UsageError):
    """The data named in a recipe can't be used: missing, empty, one class only, unsafe archive."""


class HubError(UsageError):
    """A model hub can't be reached, or does not have what was asked for."""


class StoreError(StudioError):
    """The store on disk can't be read or written, or holds something damaged."""


class StoppedByUser(StudioError):
    """The run was asked to stop and did, after saving where it stood (exit code 3)."""

    exit_code = 3


def one_line(error: Exception, length: int = 240) -> str:
    """What an error of a library says, in one line of at most `length` characters: a part of a sentence."""
    return " ".join(str(error).split())[:length] or type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence part that names the closest known name: ` Did you mean 'x'?`, or the known ones.

    Returns an empty string where nothing is known.
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f" Did you mean {close[0]!r}?"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f" Known: {shown}."
