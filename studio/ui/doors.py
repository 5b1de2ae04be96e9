"""What is looked at before any request reaches the page: whom it was meant for, where it comes from, who sends it.

A page of another site can have a browser send requests here (cross-site requests), and can have its own name
point to this machine (DNS rebinding). So the `Host` must be one that this page is served under, and what changes
anything must come from the page itself: its `Origin` is the host that was asked.
"""

import ipaddress
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from studio.ui.visitors import COOKIE, YEAR_S, Visitors, cookie_of

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
READING = ("GET", "HEAD", "OPTIONS")
LOGINS, LOGIN_S = 5, 60.0  # so many wrong passwords of one address in so many seconds
ALL_LOGINS = 100  # of all addresses, which a proxy's header may invent


@dataclass(frozen=True)
class Served:
    """How a page is served: by which names beside this machine's own (`*.lan` stands for many), and to whom."""

    names: frozenset[str] = frozenset()
    visitors: Visitors | None = None  # None: to this machine's own user

    address: str | None = None  # that it listens on, if it is one

    def answers_to(self, host: str) -> bool:
        """Whether a request that names this host is meant for the page.

        Where no names are given and any visitor may come, any name may be right: the page trusts nobody there.
        """
        known = host in LOCAL_NAMES or host == self.address or self.is_own(host)
        return known or (not self.names and self.visitors is not None)

    def is_own(self, host: str) -> bool:
        """Whether it is one of the names that were given."""
        return any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in self.names)


@dataclass
class Doors:
    """ASGI middleware around the whole page."""

    app: Any
    served: Served
    failures: dict[str, deque[float]] = field(default_factory=dict)  # when, by address
    all_failures: deque[float] = field(default_factory=lambda: deque(maxlen=ALL_LOGINS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        reason = self._refused(scope, headers)
        if reason:
            await _answer(scope, send, *reason)
            return
        await self.app(scope, receive, self._sending(scope, headers, send))

    def _refused(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = host_name(headers.get("host", ""))
        if not self.served.answers_to(host):
            return 421, "This page does not answer to the name it was asked by; --allow-host NAME lets it."
        changing = scope["type"] == "websocket" or scope["method"] not in READING
        if changing and _is_foreign(headers, self.served):
            return 403, "This request comes from a page of another site, and is refused."
        if _is_login(scope) and self._is_locked(_address(scope)):
            return 429, f"Too many wrong passwords. Wait {LOGIN_S:.0f} seconds and try again."
        return None

    def _sending(self, scope: Scope, headers: dict[str, str], send: Send) -> Send:
        """`send`, which counts failed logins and gives a visitor without a name one."""
        cookie = self._new_cookie(scope, headers)

        async def sending(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                if _is_login(scope):
                    self._count(_address(scope), failed=message["status"] >= 400)
                if cookie:
                    headers = [*message.get("headers", ()), (b"set-cookie", cookie.encode())]
                    message = {**message, "headers": headers}  # a new one: what was answered may be kept for others
            await send(message)

        return sending

    def _new_cookie(self, scope: Scope, headers: dict[str, str]) -> str | None:
        """A `Set-Cookie` value where whoever asks has no name yet; from now on the request carries it too."""
        visitors = self.served.visitors
        if visitors is None or visitors.name_in(cookie_of(headers.get("cookie"))):
            return None
        value = visitors.new()
        kept = [(name, text) for name, text in scope["headers"] if name.lower() != b"cookie"]
        others = [part for part in headers.get("cookie", "").split("; ") if part and not part.startswith(f"{COOKIE}=")]
        scope["headers"] = [*kept, (b"cookie", "; ".join([*others, f"{COOKIE}={value}"]).encode("latin-1"))]
        secure = scope.get("scheme") == "https" or headers.get("x-forwarded-proto", "").split(",")[0].strip() == "https"
        kind = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Lax"  # a Space is shown inside a frame
        return f"{COOKIE}={value}; Path=/; Max-Age={YEAR_S}; HttpOnly; {kind}"

    def _is_locked(self, address: str) -> bool:
        limits = ((self.failures.get(address, ()), LOGINS), (self.all_failures, ALL_LOGINS))
        return any(len(tries) >= most and time.monotonic() - tries[0] < LOGIN_S for tries, most in limits)

    def _count(self, address: str, failed: bool) -> None:
        if not failed:
            self.failures.pop(address, None)
            return
        if len(self.failures) > 10_000:
            self.failures.clear()
        for tries in (self.failures.setdefault(address, deque(maxlen=LOGINS)), self.all_failures):
            tries.append(time.monotonic())


def host_name(host: str) -> str:
    """The name in a `Host` header or an address, in small letters, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_foreign(headers: dict[str, str], served: Served) -> bool:
    """Whether a browser says that another site's page sends this. Scripts say nothing, and carry no one's cookies."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") in ("cross-site", "same-site")
    site = _site(origin.partition("://")[2])
    forwarded = headers.get("x-forwarded-host", "").split(",")[0].strip()
    own = {_site(headers.get("host", "")), _site(forwarded)} - {""}
    return not site or (site not in own and not served.is_own(host_name(site)))


def _site(netloc: str) -> str:
    """Name and port, without a port that goes without saying."""
    return netloc.lower().removesuffix(":80").removesuffix(":443")


def _is_login(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] == "POST" and scope["path"].rstrip("/").endswith("/login")


def _address(scope: Scope) -> str:
    """Of whoever is connected; an IPv6 network counts as one."""
    address = (scope.get("client") or ("", 0))[0]
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{known}/64", strict=False)) if known.version == 6 else address


async def _answer(scope: Scope, send: Send, status: int, text: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
