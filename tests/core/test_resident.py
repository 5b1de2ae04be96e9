"""The most memory this process has held."""

import subprocess
import sys
from pathlib import Path

import pytest

from studio.core.resident import peak_bytes


def test_memory_that_was_given_back_still_counts():
    before = peak_bytes()
    held = bytearray(before + 50_000_000)
    held[::4096] = b"x" * len(held[::4096])  # touches each page
    size = len(held)
    del held
    assert peak_bytes() >= size


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux")
def test_a_process_does_not_start_at_the_peak_of_the_one_that_started_it():
    held = bytearray(300_000_000)
    held[::4096] = b"x" * len(held[::4096])
    script = "from studio.core.resident import peak_bytes; print(peak_bytes())"
    root = Path(__file__).resolve().parents[2]
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    assert int(child.stdout) < 150_000_000 < len(held)
