"""An event as a message: the event is the body, what a relay needs besides is in the headers."""

from __future__ import annotations

from functools import lru_cache
from typing import Dict, Mapping, NamedTuple, Optional
from urllib.parse import quote, unquote

from honeyhive_litellm._spool.record import Row

from .names import EVENT_ID, MAY_BE_DUPLICATE, MESSAGE_ID, PROJECT, SESSION, STARTED

_YES = "1"
_BEGIN = "NATS/1.0\r\n"


class Received(NamedTuple):
    """What a message holds. `row.seq` is the message's number in its stream.

    `may_be_duplicate` says that the application had published the event before and did not learn the outcome.
    """

    row: Row
    project: str
    may_be_duplicate: bool


def headers_of(row: Row, project: str, *, may_be_duplicate: bool) -> Dict[str, str]:
    """The headers for an event. Its body is the row's."""
    id_ = row.id if row.id.isprintable() else quote(row.id)  # a damaged file may hold any text
    headers = {MESSAGE_ID: id_, PROJECT: _quoted(project), STARTED: repr(row.started_ms)}
    if row.session is not None:
        headers[SESSION] = _quoted(row.session)
    if may_be_duplicate:
        headers[MAY_BE_DUPLICATE] = _YES
    return headers


def received(seq: int, headers: Optional[Mapping[str, str]], body: bytes) -> Received:
    """What a message holds. Raises `ValueError` if it is none of ours."""
    headers = headers or {}
    id_ = headers.get(EVENT_ID) or headers.get(MESSAGE_ID, "")
    if not id_ or not body:
        raise ValueError("the message has no event or no event id")
    session = headers.get(SESSION)
    return Received(
        Row(seq, id_, float(headers.get(STARTED, "0")), None if session is None else unquote(session), body),
        unquote(headers.get(PROJECT, "")),
        headers.get(MAY_BE_DUPLICATE) == _YES,
    )


def encoded(headers: Mapping[str, str]) -> bytes:
    """The headers as they are sent. The broker compares their length and the body's with its `max_payload`."""
    return "".join([_BEGIN, *(f"{name}: {value}\r\n" for name, value in headers.items()), "\r\n"]).encode()


@lru_cache(maxsize=1024)
def _quoted(value: str) -> str:
    """ASCII without spaces and line breaks: a client strips a header's ends, and replaces its line breaks."""
    return quote(value, safe="")
