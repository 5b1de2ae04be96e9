"""Made-up annotations of every format: right boxes, or a sentence. benchmarks/fuzz_readers.py goes on for longer."""

import itertools
import os
import runpy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

CASES = runpy.run_path(str(Path(__file__).with_name("fuzz_boxes.py")))["CASES"]
EXAMPLES = int(os.environ.get("STUDIO_FUZZ_EXAMPLES", "40"))


@pytest.mark.parametrize("name", CASES)
def test_no_set_is_read_wrongly_or_ends_in_a_trace(tmp_path, name):
    strategy, act = CASES[name]
    count = itertools.count()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def case(value):
        act(tmp_path / str(next(count)), value)

    case()
