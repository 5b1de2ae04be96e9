"""Runs on disk: ids, names, statuses, and who is alive."""

import re

import pytest

from studio.core.errors import StoreError, UsageError
from studio.core.events import EventWriter
from studio.core.recipe import Recipe, parse


def emit(run, *statuses, **fields):
    with EventWriter(run.events_path) as events:
        for status in statuses:
            events.status(status, **fields)


def test_a_run_has_a_readable_id_and_its_recipe_frozen(store):
    recipe = parse({"name": "mine", "method": "finetune/full", "train": {"epochs": 3}})
    run = store.new_run(recipe)
    assert re.fullmatch(r"\d{8}-\d{6}-full-[0-9a-f]{4}", run.id)
    assert store.run(run.id).recipe() == recipe and run.status() == "queued"


def test_runs_are_listed_newest_first_with_what_they_left(store):
    runs = [store.new_run(Recipe(name=f"run {i}")) for i in range(3)]
    with EventWriter(runs[1].events_path) as events:
        events.status("running")
        events.scalar("loss", 0.5, 1)
        events.emit("metrics", metrics={"accuracy": 0.9})
        events.emit("checkpoint", checkpoint="full-123456", role="final")
        events.status("finished", seconds=1.5)
    rows = store.runs()
    assert [row["run"] for row in rows] == [run.id for run in reversed(runs)]
    assert {**rows[1], "created": None} == {
        "run": runs[1].id,
        "status": "finished",
        "method": "fewshot/prototypes",
        "created": None,
        "name": "run 1",
        "task": "classify",
        "seconds": 1.5,
        "worked_s": 1.5,
        "metrics": {"accuracy": 0.9},
        "checkpoint": "full-123456",
        "visitor": None,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", rows[1]["created"])
    assert store.run("last").id == runs[-1].id


def test_a_run_answers_to_the_beginning_of_its_id(store):
    first, second = store.new_run(Recipe()), store.new_run(Recipe(method="finetune/full"))
    assert store.run(second.id[:20]).id == second.id
    with pytest.raises(UsageError, match="Did you mean"):
        store.run(first.id[:-4] + "zzzz")
    with pytest.raises(UsageError, match="write more of it"):
        store.run("2")
    for name in ("", "..", "../checkpoints"):
        with pytest.raises(UsageError):
            store.run(name)


def test_last_without_any_run_is_said(store):
    with pytest.raises(UsageError, match="no runs yet"):
        store.run("last")


def test_metrics_and_checkpoint_are_the_last_ones(store):
    run = store.new_run(Recipe())
    assert run.metrics() == {} and run.checkpoint() is None
    with EventWriter(run.events_path) as events:
        events.emit("metrics", metrics={"accuracy": 0.1})
        events.note('a note that says "metrics"')
        events.emit("metrics", metrics={"accuracy": 0.2})
        events.emit("checkpoint", checkpoint="a-1", role="last-good")
        events.emit("checkpoint", checkpoint="a-2", role="final")
    assert run.metrics() == {"accuracy": 0.2} and run.checkpoint() == "a-2"
    assert [event["kind"] for event in run.events()] == ["metrics", "note", "metrics", "checkpoint", "checkpoint"]


def test_lines_that_are_damaged_or_cut_are_passed_over(store):
    run = store.new_run(Recipe())
    emit(run, "running", "finished")
    with open(run.events_path, "ab") as file:
        file.write(b'3\n"status"\n\xff\xfe"status"\n{"kind": "status", "status": "fai')
    assert run.status() == "finished" and [event["status"] for event in run.events()] == ["running", "finished"]


def test_a_held_run_is_alive_and_can_not_be_held_twice(store, monkeypatch):
    monkeypatch.setattr("studio.store.runs.HOLD_WAIT_S", 0.1)
    run = store.new_run(Recipe())
    assert not run.is_alive()
    with run.hold():
        emit(run, "running")
        assert run.is_alive() and run.status() == "running" and not run.mark_dead()
        with pytest.raises(UsageError, match="already"), store.run(run.id).hold():
            pass
    emit(run, "finished")
    assert not run.is_alive() and run.status() == "finished"


def test_a_watcher_that_looks_all_the_time_never_keeps_a_worker_out(store, start):
    run = store.new_run(Recipe())
    with run.hold():
        emit(run, "stopped")
    watcher = start("while True: store.run('last').is_alive()")
    for _ in range(500):
        with run.hold():
            pass
    assert watcher.poll() is None


def test_a_killed_worker_is_marked_failed_once_with_the_end_of_its_log(store, start):
    run = store.new_run(Recipe())
    emit(run, "queued")
    worker = start("""
import threading
run = store.run("last")
with run.hold(), EventWriter(run.events_path) as events:
    events.status("running")
    run.log("\\n".join(f"line {i}" for i in range(100)))
    print("at work", flush=True)
    threading.Event().wait()  # until it is killed
""")
    assert worker.stdout.readline().strip() == b"at work"
    assert run.is_alive() and store.runs()[0]["status"] == "running"
    worker.kill()
    worker.wait()
    assert store.runs()[0]["status"] == "failed" and run.status() == "failed"
    errors = [event["message"] for event in run.events() if event["kind"] == "error"]
    assert len(errors) == 1 and "line 99" in errors[0] and "line 70\n" in errors[0] and "line 69\n" not in errors[0]
    assert not run.mark_dead() and len(run.events()) == 4


def test_a_queued_run_waits_until_whoever_started_its_worker_says_that_it_died(store):
    run = store.new_run(Recipe())
    emit(run, "queued")
    run.log("ImportError: no module named x")
    assert run.status() == "queued"
    assert run.mark_dead()
    assert run.status() == "failed" and "no module named x" in run.events()[-2]["message"]


def test_a_run_is_stopped_before_it_begins_but_not_behind_its_workers_back(store):
    run = store.new_run(Recipe())
    with run.hold():
        assert not run.stop_unbegun() and run.status() == "queued"
    assert run.stop_unbegun() and run.status() == "stopped"


def test_a_resumed_run_is_running_again(store):
    run = store.new_run(Recipe())
    emit(run, "running")
    assert run.status() == "failed"
    with run.hold():
        emit(run, "running")
        assert run.status() == "running" and store.runs()[0]["status"] == "running"
        emit(run, "finished")
    assert store.runs()[0]["status"] == "finished"


def test_a_stop_request_is_seen_by_others_and_can_be_withdrawn(store):
    run = store.new_run(Recipe())
    assert not run.stop_requested()
    run.request_stop()
    run.request_stop()
    assert store.run(run.id).stop_requested()
    run.clear_stop()
    run.clear_stop()
    assert not run.stop_requested()


def test_a_damaged_recipe_is_a_sentence_and_a_problem_not_the_end_of_the_list(store):
    run = store.new_run(Recipe())
    run.recipe_path.write_text("train: [")
    assert store.runs()[0]["method"] is None
    with pytest.raises(StoreError, match=run.id):
        run.recipe()
    assert [problem.where for problem in store.verify()] == [run.id]


def test_listing_runs_imports_no_torch(store, start):
    store.new_run(Recipe())
    assert start("store.runs(); store.checkpoints(); sys.exit('torch' in sys.modules)").wait() == 0
