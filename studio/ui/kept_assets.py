"""Gradio's own scripts and styles, packed once and kept: it reads and packs each of them anew for each visitor.

Opening the page asks for some ninety of them, at 5 to 20 ms of the server's time each.
"""

from typing import Any

from studio.ui.whole_answers import App, Message, packed, takes_gzip, whole_answer

MOST_BYTES = 64 << 20  # that are kept; all of Gradio's come to less
_ASKS_FOR_LESS = {b"range", b"if-none-match", b"if-range"}


class KeptAssets:
    """ASGI middleware that answers `GET /assets/...` and the theme from memory, after the first time.

    Their names hold a hash of what is in them, or there is one of them as long as the page is served.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._kept: dict[tuple[str, bool], list[Message]] = {}
        self._bytes = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if not _is_asset(scope):
            await self._app(scope, receive, send)
            return
        key = scope["path"], takes_gzip(scope)
        messages = self._kept.get(key)
        if messages is None:
            messages = await whole_answer(self._app, scope, receive)
            if messages[0]["status"] == 200:
                messages = packed(messages, gzipped=key[1])
                self._keep(key, messages)
        for message in messages:
            await send(message)

    def _keep(self, key: tuple[str, bool], messages: list[Message]) -> None:
        size = len(messages[-1]["body"])
        if key not in self._kept and self._bytes + size <= MOST_BYTES:
            self._kept[key] = messages
            self._bytes += size


def _is_asset(scope: dict[str, Any]) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    named = scope["path"].startswith("/assets/") or scope["path"] == "/theme.css"
    return named and not _ASKS_FOR_LESS.intersection(name for name, _ in scope["headers"])
