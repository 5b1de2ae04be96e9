"""Leases: sharing, order, and what happens when a holder dies. Real processes and threads contend."""

import os
import random
import runpy
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.core.errors import StoppedByUser, StoreError, UsageError
from studio.device.leases import Request, Room, assign, leased_gb
from studio.device.manager import DeviceBusy, DeviceManager

pytestmark = pytest.mark.timeout(60)
SCRIPT = Path(__file__).with_name("two_small_gpus.py")
TwoSmallGpus = runpy.run_path(str(SCRIPT))["TwoSmallGpus"]
ROOT = SCRIPT.parents[2]


@pytest.fixture
def manager(home):
    return DeviceManager(home, TwoSmallGpus())


@pytest.fixture
def start(home):
    """Starts processes that lease; all are gone after the test."""
    running = []

    def begin(device, memory_gb, *flags):
        argv = [sys.executable, str(SCRIPT), str(home.root), device, str(memory_gb), *flags]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def test_a_process_killed_while_it_holds_a_lease_frees_it_at_once(start, manager):
    holder = start("cuda:0", 4)
    assert holder.stdout.readline() == "got cuda:0\n"
    waiter = start("cuda:0", 4)
    assert waiter.stdout.readline().startswith("Waiting for a device: 4.0 GB asked, cuda:0 has 4.0 of 4.0 GB leased")
    holder.kill()
    assert waiter.stdout.readline() == "got cuda:0\n"
    waiter.kill()
    waiter.wait()
    with manager.lease("cuda:0", 4, wait_s=0):  # nothing has to run out first
        pass


def test_a_process_killed_while_it_waits_holds_nobody_up(start, manager):
    with manager.lease("cuda:0", 3):
        waiter = start("cuda:0", 4)
        assert "Waiting" in waiter.stdout.readline()
        with pytest.raises(DeviceBusy), manager.lease("cuda:0", 1, wait_s=0):
            pass
        waiter.kill()
        waiter.wait()
        with manager.lease("cuda:0", 1, wait_s=0) as lease:
            assert lease.device == "cuda:0"


def test_processes_killed_at_any_moment_leave_the_table_sound(start, manager):
    moments = random.Random(0)
    for _ in range(4):
        restless = [start("cuda:0", 3, "--restless") for _ in range(3)]
        for process in restless:
            process.stdout.readline()
        for process in restless:
            time.sleep(moments.uniform(0, 0.02))
            process.kill()
            process.wait()
        with manager.lease("cuda:0", 4, wait_s=0):
            assert manager.list()[0].leased_gb == 4


def test_processes_are_served_as_they_came_and_a_person_before_them(start):
    holder = start("cuda:0", 4)
    assert holder.stdout.readline() == "got cuda:0\n"
    waiting = {}
    for name, flags in (("first run", ()), ("second run", ()), ("person", ("--interactive",))):
        waiting[name] = start("cuda:0", 4, *flags)
        assert "Waiting" in waiting[name].stdout.readline()
    now = holder
    for name in ("person", "first run", "second run"):
        now.communicate("")
        now = waiting.pop(name)
        assert any(line == "got cuda:0\n" for line in now.stdout), name
        assert all(process.poll() is None for process in waiting.values())


def test_leases_share_a_device_while_their_sum_fits(manager):
    with manager.lease("cuda:0", 2.5), manager.lease("cuda:0", 1.5):
        assert {d.id: d.leased_gb for d in manager.list()} == {"cuda:0": 4.0, "cuda:1": 0.0, "cpu": 0.0}
        with pytest.raises(DeviceBusy, match="4.0 of 4.0 GB leased"), manager.lease("cuda:0", 0.5, wait_s=0):
            pass
    assert sum(device.leased_gb for device in manager.list()) == 0


def test_ten_threads_never_hold_more_than_the_memory(manager):
    held, most, lock = [0.0], [0.0], threading.Lock()
    pair = threading.Barrier(2)  # a holder leaves only when another has come: two do hold at once, however fast

    def work():
        with manager.lease("cuda:1", 1.5) as lease:
            with lock:
                held[0] += lease.memory_gb
                most[0] = max(most[0], held[0])
            pair.wait(30)
            with lock:
                held[0] -= lease.memory_gb

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert held[0] == 0 and most[0] == 3.0  # two fit, three do not


def test_a_large_request_is_not_starved_by_small_ones(manager):
    with ExitStack() as holding:
        holding.enter_context(manager.lease("cuda:0", 2))
        got = threading.Event()

        def large():
            with manager.lease("cuda:0", 4):
                got.set()

        thread = threading.Thread(target=large)
        thread.start()
        _until(lambda: len(manager._board.requests()) == 2)
        with pytest.raises(DeviceBusy, match="1 ahead"), manager.lease("cuda:0", 1, wait_s=0):
            pass
        with manager.lease("cuda:1", 4, wait_s=0):  # another device's queue is not held up
            pass
        assert not got.is_set()
    thread.join(5)
    assert got.is_set()


def test_auto_takes_the_accelerator_with_most_free_memory(home):
    busy_elsewhere = DeviceManager(home, TwoSmallGpus(free=(1.0, 4.0)))
    with busy_elsewhere.lease("auto", 2) as first, busy_elsewhere.lease("auto", 2) as second:
        assert [first.device, second.device] == ["cuda:1", "cuda:1"]
    level = DeviceManager(home, TwoSmallGpus())
    with level.lease("auto", 2) as first, level.lease("auto", 2) as second:
        assert [first.device, second.device] == ["cuda:0", "cuda:1"]


def test_auto_waits_for_an_accelerator_rather_than_take_the_cpu(manager):
    with manager.lease("cuda:0", 4), manager.lease("cuda:1", 4):
        with pytest.raises(DeviceBusy), manager.lease("auto", 1, wait_s=0):
            pass
        with manager.lease("cpu", 1, wait_s=0) as lease:
            assert lease.device == "cpu"


def test_auto_falls_back_to_the_cpu_with_a_note_where_no_accelerator_is_large_enough(manager):
    with manager.lease("auto", 6) as lease:
        assert lease.device == "cpu"
        assert "6.0 GB" in lease.note and "cuda:0 has 4.0 GB" in lease.note


@pytest.mark.parametrize(
    ("device", "memory_gb", "words"),
    [
        ("auto", 99, ["99.0 GB", "cuda:0 has 4.0 GB"]),
        ("cuda", 6, ["6.0 GB", "cuda:1 has 4.0 GB"]),
        ("cpu", 17, ["17.0 GB", "cpu has 16.0 GB"]),
        ("cuda:3", 1, ["'cuda:3'", "cuda:0, cuda:1, cpu"]),
        ("mps", 1, ["'mps'", "cuda:0, cuda:1, cpu"]),
    ],
)
def test_what_can_never_be_granted_is_refused_with_numbers(manager, device, memory_gb, words):
    with pytest.raises(UsageError) as caught, manager.lease(device, memory_gb):
        pass
    assert all(word in str(caught.value) for word in words)
    assert manager._board.requests() == []


def test_waiting_ends_in_time_and_when_asked_to_stop(manager):
    with manager.lease("cuda:0", 4):
        begun = time.monotonic()
        with pytest.raises(DeviceBusy), manager.lease("cuda:0", 4, wait_s=0.3):
            pass
        assert time.monotonic() - begun >= 0.3
        said, asked = [], iter([False, False, True])
        with (
            pytest.raises(StoppedByUser),
            manager.lease("cuda:0", 4, on_wait=said.append, should_stop=lambda: next(asked)),
        ):
            pass
        assert len(said) == 1  # the same sentence is not said twice
    assert manager._board.requests() == []


def test_a_lease_ends_with_an_exception_and_leaves_no_file_behind(manager, home):
    with pytest.raises(KeyError), manager.lease("cuda:0", 4):
        raise KeyError
    with manager.lease("cuda:0", 4, wait_s=0):
        pass
    assert not list(home.locks.glob("lease-*"))


def test_the_same_gpu_under_two_numbers_is_one_device(home):
    usual, swapped = DeviceManager(home, TwoSmallGpus()), DeviceManager(home, TwoSmallGpus(order=(1, 0)))
    with usual.lease("cuda:0", 4):
        with swapped.lease("cuda:0", 4, wait_s=0) as lease:
            assert lease.device == "cuda:0"
        with pytest.raises(DeviceBusy), swapped.lease("cuda:1", 4, wait_s=0):
            pass


def test_a_damaged_table_and_stray_lock_files_are_cleared_away(manager, home):
    (home.locks / "leases-v1.json").write_text('[{"rooms": [{"ke')
    (home.locks / "lease-stray.lock").touch()
    with manager.lease("cuda:0", 4, wait_s=0):
        assert manager.list()[0].leased_gb == 4
        assert not (home.locks / "lease-stray.lock").exists()


def test_a_full_disk_when_a_lease_ends_does_not_fail_the_work_nor_keep_the_device(manager, monkeypatch):
    def full(path, value):
        raise OSError(28, "No space left on device")

    with manager.lease("cuda:0", 4):
        monkeypatch.setattr("studio.device.leases.write_json", full)
    with pytest.raises(StoreError, match="No space left"), manager.lease("cuda:0", 4, wait_s=0):
        pass
    monkeypatch.undo()
    with manager.lease("cuda:0", 4, wait_s=0):
        pass


@settings(deadline=None)
@given(
    wishes=st.lists(
        st.tuples(st.sampled_from([("a",), ("b",), ("a", "b")]), st.floats(0.1, 4), st.booleans()), max_size=12
    ),
    ended=st.lists(st.integers(0, 11), max_size=12),
)
def test_whatever_comes_sums_fit_nobody_is_overtaken_and_all_are_served(wishes, ended):
    requests: list[Request] = []
    for keys, gb, interactive in wishes:
        requests.append(Request([Room(key, key, 4.0, 4.0) for key in keys], gb, interactive))
        assign(requests)
        _check(requests)
    for index in ended:
        granted = [one for one in requests if one.device]
        if granted:
            requests.remove(granted[index % len(granted)])
            assign(requests)
            _check(requests)
    while requests:  # whoever is granted leaves: everybody gets a turn
        granted = [one for one in requests if one.device]
        assert granted
        requests.remove(granted[0])
        assign(requests)


def _check(requests):
    used = leased_gb(requests)
    assert all(sum_gb <= 4.0 + 1e-5 for sum_gb in used.values())
    waiting = sorted((one for one in requests if one.device is None), key=lambda one: not one.interactive)
    for one in waiting[:1]:  # the first in the queue waits only where it does not fit
        assert all(used[room.key] + one.memory_gb > room.total_gb for room in one.rooms)


def _until(true, limit_s=5):
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
