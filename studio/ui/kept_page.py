"""The page's first answer, kept: Gradio copies and walks its whole description, 40 to 120 ms, for each visitor anew."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

MOST = 8  # addresses under which the server is reached, at most kept
_SAYS_ADDRESS = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-prefix", b"x-gradio-server")


class KeptPage:
    """ASGI middleware that answers `GET /` from memory, by the address it is asked under.

    Asked with a query or a login it goes through. What it keeps is the same for every visitor.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self._kept: OrderedDict[Any, list[dict[str, Any]]] = OrderedDict()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        key = _key(scope)
        if key is None:
            await self._app(scope, receive, send)
        elif key in self._kept:
            for message in self._kept[key]:
                await send(message)
        else:
            await self._app(scope, receive, self._keeping(key, send))

    def _keeping(self, key: Any, send: Any) -> Any:
        messages: list[dict[str, Any]] = []

        async def keep(message: dict[str, Any]) -> None:
            messages.append(dict(message))
            await send(message)
            whole = message["type"] == "http.response.body" and not message.get("more_body")
            if whole and messages[0].get("status") == 200 and not _sets_cookie(messages[0]):
                self._kept[key] = messages
                while len(self._kept) > MOST:
                    self._kept.popitem(last=False)

        return keep


def _key(scope: dict[str, Any]) -> Any:
    """What the answer depends on; None where it is not the same for all."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/" or scope["query_string"]:
        return None
    headers = dict(scope["headers"])
    if b"access-token" in headers.get(b"cookie", b"") or b"authorization" in headers:
        return None
    return scope.get("scheme"), scope.get("root_path"), *(headers.get(name) for name in _SAYS_ADDRESS)


def _sets_cookie(start: dict[str, Any]) -> bool:
    return any(name.lower() == b"set-cookie" for name, _ in start.get("headers", ()))
