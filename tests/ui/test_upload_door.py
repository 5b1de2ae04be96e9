"""Files are let in while there is room for them, and refused with a sentence when there is none."""

import asyncio
import json

import pytest

from studio.ui import upload_door
from studio.ui.upload_door import WORDS_BYTES, UploadDoor


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


def answer(app, path="/gradio_api/upload", method="POST", size="40000", receive=None):
    """(status, body) of an ASGI app."""
    messages = []

    async def send(message):
        messages.append(message)

    headers = [(b"content-length", size.encode())]
    asyncio.run(app({"type": "http", "method": method, "path": path, "headers": headers}, receive, send))
    return messages[0]["status"], messages[1]["body"]


async def served(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def test_files_are_let_in_until_the_room_is_used_up_and_the_page_goes_on(temporary):
    door = UploadDoor(served, 100_000)
    assert [answer(door)[0] for _ in range(4)] == [200, 200, 413, 413]
    assert "room" in json.loads(answer(door)[1])["detail"]
    assert answer(door, "/", "GET") == answer(door, "/gradio_api/upload_progress", "GET") == (200, b"ok")


def test_what_lies_there_already_counts(temporary):
    (temporary / "a" / "b").mkdir(parents=True)
    (temporary / "a" / "b" / "photo.jpg").write_bytes(b"x" * 90_000)
    assert answer(UploadDoor(served, 100_000))[0] == 413
    assert answer(UploadDoor(served, None))[0] == 200


def test_a_disk_without_room_refuses_everybody(temporary, monkeypatch):
    monkeypatch.setattr(upload_door, "FREE_BYTES", 2**60)
    assert answer(UploadDoor(served, None))[0] == 413


@pytest.mark.parametrize("size", ["", "many", "-1", "9" * 30])
def test_a_size_that_is_none_is_no_error(temporary, size):
    assert answer(UploadDoor(served, 100_000), size=size)[0] == 200


def test_a_stranger_says_no_more_at_once_than_fits_and_the_owner_as_much_as_he_likes():
    size, path = str(WORDS_BYTES + 1), "/gradio_api/queue/join"
    for asked in (path, "/gradio_api/call/upload"):
        status, body = answer(UploadDoor(served, 100_000), asked, size=size)
        assert status == 413 and "32 MB" in json.loads(body)["detail"]
    assert answer(UploadDoor(served, None), path, size=size) == (200, b"ok")
    assert answer(UploadDoor(served, 100_000), path, size=str(WORDS_BYTES)) == (200, b"ok")


def test_who_says_less_than_he_sends_is_cut_off(monkeypatch):
    monkeypatch.setattr(upload_door, "WORDS_BYTES", 100)
    heard = []

    async def receive():
        return {"type": "http.request", "body": b"x" * 40, "more_body": True}

    async def reads(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            heard.append(message["body"])
        await served(scope, receive, send)

    answer(UploadDoor(reads, 100_000), "/gradio_api/queue/join", size="40", receive=receive)
    assert len(b"".join(heard)) == 80
