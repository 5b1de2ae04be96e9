"""Who visits a page that is hosted for others: a name in a signed cookie, which outlives a refresh.

The name is drawn by the server and says nothing of anyone; without the page's secret none can be made up. A call
without the cookie (a script, an agent) is a visitor of its own, and is told its name by `Set-Cookie` in the answer.
"""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from gradio.context import LocalContext

from studio.core.home import Home

COOKIE = "studio-visitor"
NOBODY = "nobody00"  # whom the page is built for, before anyone has asked
YEAR_S = 365 * 86400


@dataclass(frozen=True)
class Visitors:
    """Makes visitors' names and knows them again."""

    secret: str

    def new(self) -> str:
        """A cookie value for a new visitor."""
        name = secrets.token_hex(12)
        return f"{name}.{self._signature(name)}"

    def name_in(self, cookie: str | None) -> str | None:
        """The visitor that a cookie value names; None where it is missing or not signed here."""
        name, _, signature = (cookie or "").partition(".")
        return name if name and hmac.compare_digest(signature.encode(), self._signature(name).encode()) else None

    def _signature(self, name: str) -> str:
        return hmac.new(self.secret.encode(), f"visitor {name}".encode(), hashlib.sha256).hexdigest()

    def current(self) -> str:
        """The visitor whose request is being answered in this context; NOBODY where there is none."""
        request = LocalContext.request.get(None)
        return (request and self.name_in(cookie_of(request.headers.get("cookie")))) or NOBODY


def cookie_of(header: str | None) -> str | None:
    """The visitor's cookie in a `Cookie` header."""
    try:
        cookies = SimpleCookie(header or "")
    except CookieError:
        return None
    return cookies[COOKIE].value if COOKIE in cookies else None


def secret_of(home: Home) -> str:
    """What the page signs visitors' names and scrambles the browser's stored form with; it outlives the server."""
    file = home.root / "page-secret.txt"
    if not file.exists():
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(secrets.token_urlsafe(24))
    return file.read_text(encoding="utf-8")
