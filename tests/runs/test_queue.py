"""The queue: first come first served, in room for memory and count, whatever is killed."""

import os
import subprocess
import sys
import threading
import time

import psutil
import pytest
import queue_processes

from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.recipe import Recipe
from studio.runs import queue
from studio.runs.queue import Capacity, Entry, Queue, next_to_start
from studio.runs.runner import execute, submit
from studio.store import Store
from studio.ui.actions import Actions

LARGE = Capacity(8, 100.0, visitor_runs=1, visitor_filed=2, filed=3)
LONG = {
    "method": "finetune/full",
    "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "builtin:digits?per_class=20"},
    "train": {"epochs": 100_000, "batch_size": 16, "workers": 1},
}


def until(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


def at_work(run_id, memory_gb=1.0, processes=1, owner=None):
    return Entry(run_id, memory_gb, processes, owner, started=True)


def file(home, count, owner=None, capacity=LARGE):
    runs = [Store(home).new_run(Recipe()) for _ in range(count)]
    for run in runs:
        Queue(home).file(Entry(run.id, 1.0, 1, owner), capacity)
    return runs


@pytest.fixture
def kept(home):
    """Starts keepers with workers of tests/runs/queue_processes.py; ends all that is left of them."""
    started = []

    def keep(processes=1, worker="hold"):
        started.append(queue_processes.start(home, "keep", str(processes), worker))
        return started[-1]

    yield keep
    for process in psutil.process_iter(["cmdline"]):
        if str(home.root) in (process.info["cmdline"] or []):
            process.kill()
    for process in started:
        process.wait()


# --- who is next ------------------------------------------------------------------------------------


def test_the_first_that_came_is_next_and_nobody_squeezes_past_a_large_one():
    small, large = Entry("small", 1.0, 1), Entry("large", 60.0, 1)
    assert next_to_start([large, small], LARGE, free_gb=100) == large
    assert next_to_start([at_work("a", 50.0), large, small], LARGE, free_gb=100) is None
    assert next_to_start([at_work("a", 40.0), large, small], LARGE, free_gb=100) == large


def test_processes_count_and_what_is_larger_than_the_machine_runs_alone():
    four, many = Entry("four", 1.0, 4), Entry("many", 1.0, 64)
    assert next_to_start([at_work("a", processes=4), four], LARGE, free_gb=100) == four
    assert next_to_start([at_work("a", processes=5), four], LARGE, free_gb=100) is None
    assert next_to_start([at_work("a"), many], LARGE, free_gb=100) is None
    assert next_to_start([many], LARGE, free_gb=100) == many


def test_memory_that_others_use_is_not_given_out_again():
    assert next_to_start([at_work("a"), Entry("b", 3.0, 1)], LARGE, free_gb=2.0) is None
    assert next_to_start([Entry("b", 3.0, 1)], LARGE, free_gb=2.0) == Entry("b", 3.0, 1)


def test_a_visitor_at_the_limit_is_passed_over_and_keeps_the_place():
    mine, theirs = Entry("mine", 1.0, 1, "ann"), Entry("theirs", 1.0, 1, "bob")
    assert next_to_start([at_work("a", owner="ann"), mine, theirs], LARGE, free_gb=100) == theirs
    assert next_to_start([at_work("a", owner="bob"), mine, theirs], LARGE, free_gb=100) == mine


def test_a_visitor_files_so_many_runs_and_all_together_so_many_but_the_owner_as_many_as_wanted(home):
    file(home, 2, "ann")
    with pytest.raises(UsageError, match="2 of your runs"):
        file(home, 1, "ann")
    file(home, 1, "bob")
    with pytest.raises(UsageError, match="Try again later"):
        file(home, 1, "cem")
    file(home, 5)


# --- the table --------------------------------------------------------------------------------------


def test_places_are_told_and_no_entry_is_lost_between_threads(home):
    runs = [Store(home).new_run(Recipe()) for _ in range(12)]
    threads = [threading.Thread(target=Queue(home).file, args=(Entry(run.id, 1.0, 1), LARGE)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(Queue(home).place(run.id) for run in runs) == list(range(1, 13))
    assert Queue(home).place("another") is None
    with pytest.raises(UsageError, match="already"):
        Queue(home).file(Entry(runs[0].id, 1.0, 1), LARGE)


def test_a_run_that_was_deleted_waits_no_more(home):
    first, second = file(home, 2)
    first.path.rename(home.root / "gone")
    assert [entry.run for entry in Queue(home).entries()] == [second.id]


def test_a_waiting_run_is_stopped_at_once_and_a_finished_one_is_not_asked(home):
    first, second = file(home, 2)
    assert queue.stop(first, home) == "stopped" and first.status() == "stopped"
    assert Queue(home).place(second.id) == 1
    with pytest.raises(UsageError, match="not being worked on"):
        queue.stop(first, home)


# --- processes --------------------------------------------------------------------------------------


def test_a_killed_holder_frees_its_slot_and_the_next_begins(home, kept):
    runs = file(home, 3)
    kept(processes=1)
    until(lambda: runs[0].status() == "running")
    assert Queue(home).place(runs[1].id) == 1 and runs[1].status() == "queued"
    _kill_worker_on(runs[0])
    until(lambda: runs[1].status() == "running")
    assert runs[0].status() == "failed" and runs[2].status() == "queued"
    assert queue.stop(runs[1], home) == "stopping"
    until(lambda: runs[2].status() == "running")
    queue.stop(runs[2], home)


def test_a_killed_keeper_leaves_what_waits_to_the_next_and_two_keepers_start_nothing_twice(home, kept):
    runs = file(home, 2)
    first = kept(processes=1)
    until(lambda: runs[0].status() == "running")
    first.kill()
    first.wait()
    kept(processes=1), kept(processes=1)
    queue.stop(runs[0], home)
    until(lambda: runs[1].status() == "running")
    assert [e["status"] for e in runs[1].events()] == ["running"]
    queue.stop(runs[1], home)


def test_a_worker_that_dies_before_it_begins_is_said_at_once(home, kept):
    run, other = file(home, 2)
    kept(processes=1, worker="die").wait(60)
    assert run.status() == other.status() == "failed"
    assert "it could not even begin" in run.events()[-2]["message"]


def test_a_run_in_the_foreground_counts(home, kept):
    own, (waiting,) = Store(home).new_run(Recipe()), file(home, 1)
    with own.hold(), Queue(home).working(own):
        keeper = kept(processes=1)
        until(lambda: queue_processes.looks(home).exists() and queue_processes.looks(home).stat().st_size >= 3)
        assert waiting.status() == "queued" and keeper.poll() is None
    until(lambda: waiting.status() == "running")
    queue.stop(waiting, home)


def test_a_second_worker_leaves_a_pending_stop_alone(home, monkeypatch):
    monkeypatch.setattr("studio.store.runs.HOLD_WAIT_S", 0.1)
    run = submit(recipes.parse(LONG), Store(home))
    with run.hold():
        run.request_stop()
        with pytest.raises(UsageError, match="already"):
            execute(run, home)
        assert run.stop_requested()


def test_a_stop_before_the_worker_begins_is_answered(home):
    run = submit(recipes.parse(LONG), Store(home))
    run.request_stop()
    assert execute(run, home).status == "stopped" and not run.stop_requested()


def test_more_processes_than_the_machine_has_room_for_are_refused_before_anything_is_filed(home):
    with pytest.raises(UsageError, match=r"train\.processes: found 1000"):
        submit(recipes.parse({**LONG, "train": {"processes": 1000, "batch_size": 2000}}), Store(home))
    assert Store(home).runs() == []


@pytest.mark.slow
def test_the_page_files_runs_that_outlive_it_and_a_killed_worker_and_keeper(home, monkeypatch):
    monkeypatch.setenv("STUDIO_MAX_PROCESSES", "1")
    actions = Actions(home)
    first, second, third = (actions.store.run(actions.start(LONG)) for _ in range(3))
    until(lambda: actions.view(first.id).status == "running")
    assert [actions.view(run.id).place for run in (first, second, third)] == [None, 1, 2]
    assert actions.stop(second.id) == "stopped" and actions.view(third.id).place == 1
    for process in psutil.process_iter(["environ", "cmdline"]):
        if (process.info["environ"] or {}).get("STUDIO_HOME") == str(home.root):
            process.kill()  # the keeper and the worker
    until(lambda: actions.view(third.id).status == "running")  # whoever looks starts a keeper
    assert first.status() == "failed"
    assert actions.stop(third.id) == "stopping"
    until(lambda: third.status() == "stopped")


def test_the_command_line_files_shows_and_stops_a_waiting_run(home):
    blocker = Store(home).new_run(Recipe())
    env = {**os.environ, "STUDIO_HOME": str(home.root), "STUDIO_MAX_PROCESSES": "1"}

    def cli(*arguments):
        argv = [sys.executable, "-m", "studio.cli", *arguments]
        return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=120)

    with blocker.hold(), Queue(home).working(blocker):
        assert '"place": 1' in cli("run", "quickstart", "--queue", "--json").stdout
        assert "number 1 in the queue" in cli("show", "last").stdout
        assert cli("stop", "last").returncode == 0
        assert Store(home).run("last").status() == "stopped"


def _kill_worker_on(run):
    holder = next(
        process
        for process in psutil.process_iter(["cmdline"])
        if run.id in (process.info["cmdline"] or []) and "hold" in process.info["cmdline"]
    )
    holder.kill()
