"""Who may see the pages, and what a browser may do with them. Pure but for random numbers.

A one-time token in the URL that `serve` prints is exchanged for a cookie and redirected away, so that it stands in no
history, no log and no `Referer`. The cookie is of this server's life: another start makes another.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Dict, Mapping, Optional

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

HEADERS: Dict[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every answer of the pages has."""


class Doorkeeper:
    """The token and the cookie of one server."""

    def __init__(self) -> None:
        self._token = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self._form_key = secrets.token_bytes(32)

    def __repr__(self) -> str:
        return "Doorkeeper()"

    @property
    def token(self) -> str:
        """The token that the next browser may exchange."""
        return self._token

    def exchange(self, token: str) -> Optional[str]:
        """The cookie's value for a token that is right; the token is then of no more use, and there is a new one."""
        if not _is_same(token, self._token):
            return None
        self._token = secrets.token_urlsafe(32)
        return self._session

    def admits(self, cookies: Mapping[str, str], port: int) -> bool:
        """Whether a request with these cookies comes from a browser that had a token."""
        return _is_same(cookies.get(cookie_name(port), ""), self._session)

    def form_value(self, action: str) -> str:
        """What a form of ours carries, so that no other page can send it."""
        return hmac.new(self._form_key, action.encode(), hashlib.sha256).hexdigest()

    def is_own_form(self, action: str, value: str) -> bool:
        """Whether a form for *action* is ours."""
        return _is_same(value, self.form_value(action))


def _is_same(offered: str, right: str) -> bool:
    return hmac.compare_digest(offered.encode("utf-8", "replace"), right.encode())


def cookie_name(port: int) -> str:
    """Browsers do not keep the cookies of ports apart, so the name does."""
    return f"honeyhive_litellm_{port}"


def is_same_origin(headers: Mapping[str, str], scheme: str) -> bool:
    """Whether a POST came from a page of ours, by headers that no page can change.

    Since our pages send no referrer, a browser sends the `Origin` of their forms as "null"; the newer `Sec-Fetch-Site`
    then says whose form it was.
    """
    origin = headers.get("Origin", "null")
    if origin == "null":
        return headers.get("Sec-Fetch-Site") == "same-origin"
    return origin == f"{scheme}://{headers.get('Host', '')}"
