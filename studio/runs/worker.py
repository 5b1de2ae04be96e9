"""The worker process: `python -m studio.runs.worker RUN [--resume]`, home in STUDIO_HOME."""

import argparse
import sys

from studio.core.home import Home
from studio.runs.executors import run_inline
from studio.store import Store


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="studio.runs.worker")
    parser.add_argument("run")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args(argv)
    home = Home.find()
    result = run_inline(Store(home).run(args.run), home, resume=args.resume)
    if result.error:
        print(result.error, file=sys.stderr)
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
