"""The door that files and words come in by.

Gradio keeps each file for a day, however many come, and reads whatever else it is sent into memory: here it is judged
whether it may come.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gradio.route_utils import API_PREFIX

from studio.store.uploads import bytes_of

FREE_BYTES = 2**30  # of the disk, that stay free
HOSTED_BYTES = 5 * 2**30  # of all files that strangers have sent and that are not kept yet
FRESH_S = 5.0  # for so long a sum is believed
WORDS_BYTES = 32 * 2**20  # of what a stranger sends that is no file: recipes, strokes, a photo as text
TOO_LONG = f"This is more than the {WORDS_BYTES >> 20} MB that may be sent at once; files are uploaded."


class UploadDoor:
    """ASGI middleware that refuses with a sentence what there is no room for.

    `most_bytes` of all files that lie in the temporary folder; None: as much as the disk takes, and any words.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], most_bytes: int | None = None) -> None:
        self._app, self._most_bytes = app, most_bytes
        self._sum, self._summed = 0, 0.0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        files = _posts(scope) and scope["path"].rstrip("/").endswith(f"{API_PREFIX}/upload")
        words = _posts(scope) and not files and self._most_bytes is not None
        reason = self._refusal(_size(scope)) if files else TOO_LONG if words and _size(scope) > WORDS_BYTES else None
        if reason is None:
            await self._app(scope, _at_most(WORDS_BYTES, receive) if words else receive, send)
            return
        body = json.dumps({"detail": reason}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, size: int) -> str | None:
        folder = Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio")
        there = folder if folder.exists() else folder.parent
        if shutil.disk_usage(there).free - size < FREE_BYTES:
            return "The disk has no room for this file."
        if self._most_bytes is None:
            return None
        if time.monotonic() - self._summed > FRESH_S:
            self._sum, self._summed = bytes_of(folder), time.monotonic()
        self._sum += size
        return "This page has no more room for files now. Try again later." if self._sum > self._most_bytes else None


def _posts(scope: dict[str, Any]) -> bool:
    return scope["type"] == "http" and scope["method"] == "POST"


def _at_most(most: int, receive: Callable[[], Awaitable[dict[str, Any]]]) -> Callable[[], Awaitable[dict[str, Any]]]:
    """What is received, until it is more than was said: then the sender is taken to have gone."""
    left = most

    async def limited() -> dict[str, Any]:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return message if left >= 0 else {"type": "http.disconnect"}

    return limited


def _size(scope: dict[str, Any]) -> int:
    """What a request says it brings; a file of unsaid size is bounded by the server as it comes."""
    text = dict(scope["headers"]).get(b"content-length", b"0")
    return int(text) if text.isdigit() and len(text) < 20 else 0
