"""Made-up annotations and images of every format: what is right, or a sentence. benchmarks/fuzz_readers.py goes on."""

import itertools
import os
import runpy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

CASES = {
    f"{path.stem.removeprefix('fuzz_')}: {name}": case
    for path in sorted(Path(__file__).parent.rglob("fuzz_*.py"))
    for name, case in runpy.run_path(str(path))["CASES"].items()
}
EXAMPLES = int(os.environ.get("STUDIO_FUZZ_EXAMPLES", "60"))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Truncated File Read", "ignore:Metadata Warning")
def test_nothing_is_read_wrongly_or_ends_in_a_trace(tmp_path, name):
    strategy, act = CASES[name]
    count = itertools.count()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def case(value):
        act(tmp_path / str(next(count)), value)

    case()
