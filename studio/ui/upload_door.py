"""The door that files come in by: Gradio keeps each for a day, however many come; here it is judged whether one may."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from studio.store.uploads import bytes_of

FREE_BYTES = 2**30  # of the disk, that stay free
HOSTED_BYTES = 5 * 2**30  # of all files that strangers have sent and that are not kept yet
FRESH_S = 5.0  # for so long a sum is believed


class UploadDoor:
    """ASGI middleware that refuses a file with a sentence where there is no room for it.

    `most_bytes` of all that lie in the temporary folder; None: as much as the disk takes.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], most_bytes: int | None = None) -> None:
        self._app, self._most_bytes = app, most_bytes
        self._sum, self._summed = 0, 0.0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        upload = scope["type"] == "http" and scope["method"] == "POST" and scope["path"].rstrip("/").endswith("/upload")
        reason = self._refusal(_size(scope)) if upload else None
        if reason is None:
            await self._app(scope, receive, send)
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


def _size(scope: dict[str, Any]) -> int:
    """What a request says it brings; a file of unsaid size is bounded by the server as it comes."""
    text = dict(scope["headers"]).get(b"content-length", b"0")
    return int(text) if text.isdigit() and len(text) < 20 else 0
