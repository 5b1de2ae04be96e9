"""The worker process: `python -m studio.runs.worker RUN [--resume] [--on ray]`, home in STUDIO_HOME."""

import argparse
import sys
from contextlib import suppress

from studio.core.errors import StoppedByUser
from studio.core.home import Home
from studio.engine.process_rank import rank, world
from studio.runs.executors import run_inline
from studio.runs.runner import assist
from studio.store import Store


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="studio.runs.worker")
    parser.add_argument("run")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--on", help="a cluster that works on it; this process follows")
    args = parser.parse_args(argv)
    home = Home.find()
    run = Store(home).run(args.run)
    if rank() > 0:
        with suppress(StoppedByUser):
            assist(run, home, args.resume)
        return 0
    result = run_inline(run, home, resume=args.resume, on=args.on)
    if result.error:
        print(result.error, file=sys.stderr)
    # `accelerate launch` takes any other code for a crash and ends the other ranks; the events have the outcome
    return 0 if world() > 1 and result.status == "stopped" else result.exit_code


if __name__ == "__main__":
    sys.exit(main())
