"""Feeds the readers of data made-up sets for some minutes, and holds them against slow readers.

    python benchmarks/fuzz_readers.py --minutes 10

Every `tests/**/fuzz_*.py` is a module of strategies: its `CASES` map a name to (hypothesis strategy, function of a
folder and a drawn value) that raises AssertionError where a reader is wrong. Each case gets an equal share of the time,
in rounds with new seeds. Exit code 1 where anything failed.
"""

import argparse
import itertools
import runpy
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
ROUND = 200  # examples of one case before the next has its turn


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("modules", nargs="*", type=Path, help="files with CASES (default: tests/**/fuzz_*.py)")
    arguments = parser.parse_args()
    modules = arguments.modules or sorted((ROOT / "tests").rglob("fuzz_*.py"))
    cases = {
        f"{path.stem}: {name}": case for path in modules for name, case in runpy.run_path(str(path))["CASES"].items()
    }
    examples = dict.fromkeys(cases, 0)
    failed: set[str] = set()
    end = time.monotonic() + 60 * arguments.minutes
    for number in itertools.count(arguments.seed):
        for name, (strategy, act) in cases.items():
            if time.monotonic() > end:
                break
            if name not in failed:
                try:
                    examples[name] += play(strategy, act, number, ROUND)
                except Exception:
                    failed.add(name)
                    print(f"FAILED {name}, seed {number}\n{traceback.format_exc()}", flush=True)
        if time.monotonic() > end or len(failed) == len(cases):
            break
    for name, count in examples.items():
        print(f"{name:32s} {count:8d} examples {'FAILED' if name in failed else 'ok'}")
    return int(bool(failed))


def play(strategy: Any, act: Any, seed: int, most: int) -> int:
    """Runs one case on `most` drawn values, each in a folder of its own. Returns how many there were."""
    from hypothesis import HealthCheck, given, settings
    from hypothesis import seed as seeded

    count = itertools.count()
    with tempfile.TemporaryDirectory() as folder:

        @seeded(seed)
        @settings(max_examples=most, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(strategy)
        def case(value: Any) -> None:
            act(Path(folder) / str(next(count)), value)

        case()
    return next(count)


if __name__ == "__main__":
    sys.exit(main())
