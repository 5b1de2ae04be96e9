"""The most memory this process has held so far."""

import re
import sys
from pathlib import Path

import psutil


def peak_bytes() -> int:
    """Bytes of the largest resident set of this process.

    On Linux by its own status: `ru_maxrss` of a process that another has started begins at the peak of that one.
    """
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return memory.peak_wset
    status = Path("/proc/self/status")
    if status.exists() and (line := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(line[1]) * 1024
    try:
        import resource
    except ImportError:
        return memory.rss
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
