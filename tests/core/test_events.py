"""The event stream: whole lines or nothing, whoever writes and whoever dies."""

import json

import pytest

from studio.core.events import EventWriter, follow, read_events


def test_events_come_back_in_order_with_their_fields(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as events:
        events.status("running")
        events.scalar("train/loss", 0.5, 3)
        events.warning("left out 图.jpg")
    found, end = read_events(path)
    assert [event["kind"] for event in found] == ["status", "scalar", "warning"]
    assert found[1]["value"] == 0.5 and found[1]["step"] == 3 and found[2]["message"] == "left out 图.jpg"
    assert read_events(path, end) == ([], end)


def test_a_line_cut_short_is_skipped_by_readers_and_dropped_by_the_next_writer(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as events:
        events.note("whole")
    with open(path, "ab") as file:
        file.write(b'{"t": 1, "kind": "no')
    found, end = read_events(path)
    assert len(found) == 1
    with EventWriter(path) as events:
        events.note("after")
    assert [event["message"] for event in read_events(path)[0]] == ["whole", "after"]
    assert [event["message"] for event in read_events(path, end)[0]] == ["after"]


def test_a_file_with_nothing_but_a_cut_line_starts_empty(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"x" * 10_000)
    EventWriter(path).close()
    assert path.read_bytes() == b""


def test_values_that_json_lacks_become_null(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as events:
        events.emit("metrics", metrics={"a": float("nan"), "b": [float("inf"), 1.0]})
    assert json.loads(path.read_text())["metrics"] == {"a": None, "b": [None, 1.0]}


def test_an_unknown_kind_is_a_programming_error(tmp_path):
    with EventWriter(tmp_path / "e") as events, pytest.raises(ValueError, match="kind"):
        events.emit("rumour")


def test_follow_ends_with_the_final_status(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as events:
        events.status("running")
        events.status("finished")
    assert [event["status"] for event in follow(path)] == ["running", "finished"]
