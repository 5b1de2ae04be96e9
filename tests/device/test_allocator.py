"""Freed memory is used again, not handed back and cleared page by page."""

import platform
import sys

import numpy as np
import pytest

from studio.device.allocator import keep_freed_memory


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc on Linux only")
def test_a_large_block_is_paid_for_once():
    import resource

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(100_000_000, np.uint8)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    assert keep_freed_memory()
    faults()
    assert faults() < 1000  # of 24,000 pages


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory.__wrapped__() is False
