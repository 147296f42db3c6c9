"""User and password in a URL: `https://user:password@host`. The password may hold any sign but a blank.

What follows "://" is no user with a password if it is a host with a port: `http://host:8080/joe@example.com`.
"""

from __future__ import annotations

import re
from typing import List, Optional

MARK = "[redacted: user and password]"

_HINT = re.compile(r"://[^\s@]{0,400}@")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}\Z")
_HOST_AND_PORT = re.compile(r"[\w.-]{1,256}:[0-9]{2,5}(?:[/?#]|\Z)")
_TEMPLATE = re.compile(
    r"(?:\$?\{{1,3}[^{}\s]{0,64}\}{1,3}|<[\w.-]{0,64}>|\$[a-z_]\w{0,64}|%s|%\(\w{1,64}\)s|(?:your[-_]?)?(?:pass(?:word|wd)?|pwd|pw|secret)|redacted"
    r"|[*x.X\u2026]{3,})@",
    re.IGNORECASE,
)
"""What stands for a password."""
_USER = re.compile(r"[^\s/?#@:\"'`<>\[\\]{0,256}:")
_LONG_USER = re.compile(r"(?=[^\s/@:]{0,64}[0-9])[^\s/?#@:\"'<>\[\\]{16,256}@")
_HOST = re.compile(
    r"(?:(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,8}[A-Za-z]{2,24}|localhost|[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
    r"|\[[0-9a-fA-F:]{2,40}\]|[a-z][a-z0-9-]{1,40}(?=:[0-9]{2,5}\b))(?=[:/?#\s\"'`<>),;\\]|\Z)"
)
_QUERY = re.compile(r"[?&]\w{1,32}=")
_END_OF_STRING = re.compile(r"\\?[\"'`](?=[,:}\])]|\Z)")
_WORD = re.compile(r"\S{1,400}")
_BEFORE_CHARS = 200
_OPENERS = ("$", "{", "<", "%")
_QUOTES = {'"': '"', "'": "'", "`": "`", "<": ">"}


def has_user_info(text: str) -> bool:
    """Whether there is a URL with an "@" behind it; a quick look."""
    return "@" in text and _HINT.search(text) is not None


def without_user_info(text: str) -> str:
    """`text` with the mark in the place of every user and password in a URL."""
    parts: List[str] = []
    done = 0
    place = text.find("://")
    while place >= 0:
        start = place + 3
        end = _end(text, place) if start >= done else None
        if end is not None:
            parts += (text[done:start], MARK)
            done = end
        place = text.find("://", start)
    return "".join(parts) + text[done:] if parts else text


def _end(text: str, place: int) -> Optional[int]:
    """Where user and password end that begin behind the "://" at `place`: at an "@"."""
    start = place + 3
    long_user = _LONG_USER.match(text, start)
    if long_user is not None:
        return long_user.end() - 1
    user = _USER.match(text, start)
    template = _TEMPLATE.match(text, user.end()) if user is not None else None
    if template is not None and (
        _HOST.match(text, template.end()) or text[template.end() : template.end() + 1] in _OPENERS
    ):
        return None
    word = _WORD.match(text, start)
    if user is None or word is None or _HOST_AND_PORT.match(word.group()):
        return None
    begin, end = user.end(), start + len(_of_url(text, place, word.group()))
    places = [at for at in range(begin + 1, end) if text[at] == "@"]
    query = _QUERY.search(text, begin, end)
    before_query = [at for at in places if query is None or at < query.end()]
    for at in before_query:
        if _HOST.match(text, at + 1):
            return at
    last = before_query or places
    return last[-1] if last else None


def _of_url(text: str, place: int, word: str) -> str:
    """As much of the word behind "://" as may be of the URL: quotes before it end it."""
    scheme = _SCHEME.search(text, max(place - 21, 0), place)
    start = scheme.start() if scheme is not None else place
    quote = _QUOTES.get(text[start - 1 : start])
    if quote is not None:
        return word.split(quote, 1)[0]
    before = text[max(start - _BEFORE_CHARS, 0) : start]
    end = _END_OF_STRING.search(word) if '"' in before or "'" in before else None
    return word[: end.start()] if end is not None else word
