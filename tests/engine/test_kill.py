"""A worker killed at any moment leaves a clean store, and resumes to the very losses of one that never was."""

import os
import random
import time

import pytest
from kills import context, kill_once, losses, new_run, run_to_end

from studio.store import Store

KILLS = int(os.environ.get("STUDIO_TEST_KILLS", "6"))  # 200 take several minutes


@pytest.mark.timeout(60 + 10 * KILLS)
@pytest.mark.slow
def test_a_killed_worker_resumes_bit_for_bit_and_the_store_verifies_clean(home):
    processes, store, draw = context(), Store(home), random.Random(7)
    whole, timed = new_run(home), new_run(home)
    assert run_to_end(processes, home, whole) == 0
    begun = time.monotonic()  # of the second run: the first waits until the fork server has imported everything
    assert run_to_end(processes, home, timed) == 0
    longest = time.monotonic() - begun
    expected = losses(whole)
    assert len(expected) == 40 and losses(timed) == expected

    done = 0
    while done < KILLS:
        run = new_run(home)
        started = False
        while done < KILLS:
            killed = kill_once(processes, home, run, started, draw, longest)
            started = True
            assert store.verify() == []
            if not killed:
                break
            done += 1
            if run.status() == "finished":  # it was killed on its way out, with nothing left to do
                break
            assert run.status() in ("failed", "queued")
        if run.status() != "finished":
            assert run_to_end(processes, home, run, resume=True) == 0
        assert losses(run) == expected
        assert run.status() == "finished"
