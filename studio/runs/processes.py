"""Processes of the studio's own modules, started with an argv list and never a shell string."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

from studio.core.home import Home

_ROOT = Path(__file__).resolve().parents[2]


def spawn(module: str, arguments: list[str], home: Home, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """`python -m module arguments` with this home; it outlives whoever started it. Its output goes to `log`."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "STUDIO_HOME": str(home.root), "PYTHONUNBUFFERED": "1", "PYTHONPATH": path}
    argv, apart = [sys.executable, "-m", module, *arguments], os.name == "posix"
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=apart)
