"""How the C library hands out memory on Linux; it decides how fast a CPU runs a network."""

import ctypes
import sys
from contextlib import suppress
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


@cache
def keep_freed_memory() -> bool:
    """Lets this process keep what it frees, for its next use. Whether that could be set; results don't change.

    By default glibc gives blocks of over 32 MB, and the end of its heap, back to the system, which then hands
    out the same memory page by page, cleared, in the next layer. That took 60 % of the time of EfficientNet-Lite0
    (forward, batch 32, two cores), and 15 % of a training step. A process keeps its peak until it ends, so this
    is for those that work on a run.
    """
    if not sys.platform.startswith("linux"):
        return False
    with suppress(AttributeError, OSError):  # another C library than glibc
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(_MMAP_THRESHOLD, 1 << 30)) and bool(mallopt(_TRIM_THRESHOLD, (1 << 31) - 1))
    return False
