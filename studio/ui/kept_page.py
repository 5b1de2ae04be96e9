"""The page's first answer, lean and kept: Gradio copies and walks its whole description for each visitor anew.

That took the server 40 to 120 ms, and what serves scripts alone took the browser as long again (`lean_page`).
"""

from collections import OrderedDict
from typing import Any
from urllib.parse import parse_qs

from studio.ui.lean_page import lean
from studio.ui.whole_answers import App, Message, packed, takes_gzip, whole_answer

MOST = 8  # addresses under which the server is reached, at most kept
IN_FULL = {"view", "deep_link"}  # what may be asked of a page that is then as Gradio makes it; else the browser answers
_SAYS_ADDRESS = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-prefix", b"x-gradio-server")


class KeptPage:
    """ASGI middleware that answers `GET /` lean, and from memory, by the address it is asked under.

    Asked as `?view=api` it is what Gradio makes, in full; with a login it is made anew. What it keeps is the same for
    every visitor, and for every run that a link names.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._kept: OrderedDict[Any, list[Message]] = OrderedDict()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        is_page = scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/"
        if not is_page or IN_FULL & parse_qs(scope["query_string"].decode("latin-1")).keys():
            await self._app(scope, receive, send)
            return
        scope = {**scope, "query_string": b""}
        key = _key(scope)
        messages = self._kept.get(key) or _made_lean(await whole_answer(self._app, scope, receive), takes_gzip(scope))
        if key is not None and _is_for_all(messages[0]):
            self._keep(key, messages)
        for message in messages:
            await send(message)

    def _keep(self, key: Any, messages: list[Message]) -> None:
        self._kept[key] = messages
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)


def _made_lean(messages: list[Message], gzipped: bool) -> list[Message]:
    start, *parts = messages
    if start.get("status") != 200:
        return messages
    body = lean(b"".join(part.get("body", b"") for part in parts))
    return packed([start, {"type": "http.response.body", "body": body}], gzipped)


def _key(scope: dict[str, Any]) -> Any:
    """What the answer depends on; None where it is not the same for all."""
    headers = dict(scope["headers"])
    if b"access-token" in headers.get(b"cookie", b"") or b"authorization" in headers:
        return None
    address = tuple(headers.get(name) for name in _SAYS_ADDRESS)
    return takes_gzip(scope), scope.get("scheme"), scope.get("root_path"), address


def _is_for_all(start: Message) -> bool:
    sets_cookie = any(name.lower() == b"set-cookie" for name, _ in start.get("headers", ()))
    return start.get("status") == 200 and not sets_cookie
