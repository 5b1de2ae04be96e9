"""The same door for a hosted Space: this file is what the Space runs, and the page is what it shows.

Visitors there are strangers, so the page lets nobody name a path of the machine. On one's own machine
use `python launch.py`.
"""

import contextlib

with contextlib.suppress(ImportError):
    import spaces  # noqa: F401  where GPUs are lent a call at a time (ZeroGPU), this must come before torch

from studio.ui import build_app


def main() -> None:
    build_app(hosted=True).launch(mcp_server=True, ssr_mode=False, show_error=False)


if __name__ == "__main__":  # worker processes may import this file; only the Space itself serves
    main()
