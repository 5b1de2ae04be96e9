"""ASGI answers as a whole, to be kept: all parts in one list, and packed."""

import gzip
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
App = Callable[..., Awaitable[None]]
SMALLEST = 400  # bytes that are worth packing
_PACKS_WELL = (b"javascript", b"text/", b"json", b"svg")


async def whole_answer(app: App, scope: dict[str, Any], receive: Any) -> list[Message]:
    """All that an ASGI app answers: its start, then the parts of its body."""
    messages: list[Message] = []

    async def collect(message: Message) -> None:
        messages.append(dict(message))

    await app(scope, receive, collect)
    return messages


def packed(messages: list[Message], gzipped: bool) -> list[Message]:
    """The same answer in one piece, and by gzip where that is understood and helps."""
    start, *parts = messages
    body = b"".join(part.get("body", b"") for part in parts)
    headers = {name.lower(): value for name, value in start["headers"]}
    headers[b"vary"] = b"Accept-Encoding"
    if gzipped and len(body) >= SMALLEST and any(kind in headers.get(b"content-type", b"") for kind in _PACKS_WELL):
        body = gzip.compress(body)
        headers[b"content-encoding"] = b"gzip"
    headers[b"content-length"] = str(len(body)).encode()
    return [{**start, "headers": list(headers.items())}, {"type": "http.response.body", "body": body}]


def takes_gzip(scope: dict[str, Any]) -> bool:
    return b"gzip" in dict(scope["headers"]).get(b"accept-encoding", b"")
