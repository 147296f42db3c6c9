"""An event as a message: the event is the body, what a relay needs besides is in the headers.

An encrypted event is one body as well, with everything of the call in it; only the id and the project are in headers.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Dict, Mapping, NamedTuple, Optional
from urllib.parse import quote, unquote

from honeyhive_litellm._errors import DamagedBodyError
from honeyhive_litellm._privacy.cipher import Cipher, is_sealed
from honeyhive_litellm._spool.encryption import decrypt_content, encrypt_content
from honeyhive_litellm._spool.record import Row

from .names import EVENT_ID, MAY_BE_DUPLICATE, MESSAGE_ID, PROJECT, SESSION, STARTED

_YES = "1"
_BEGIN = "NATS/1.0\r\n"

_PUBLISHED = 5
"""What the encrypted body of a message is bound to, besides its id; what the spool stores has other kinds."""

_START = struct.Struct(">d")


class Received(NamedTuple):
    """What a message holds. `row.seq` is the message's number in its stream.

    `may_be_duplicate` says that the application had published the event before and did not learn the outcome.
    """

    row: Row
    project: str
    may_be_duplicate: bool


def encrypted(row: Row, cipher: Cipher) -> Row:
    """The event as it is published: with a key, its start and its session are in its encrypted body."""
    if cipher.key_id is None:
        return row
    content = _START.pack(row.started_ms) + row.body
    body = encrypt_content(cipher, _published_id(row.id), _PUBLISHED, row.session, content)
    return Row(row.seq, row.id, 0.0, None, body)


def decrypted(row: Row, cipher: Cipher) -> Row:
    """The event that was published. Raises UnknownKeyError and DamagedBodyError."""
    if not is_sealed(row.body):
        return row
    session, content = decrypt_content(cipher, row.id, _PUBLISHED, None, row.body)
    if len(content) < _START.size:
        raise DamagedBodyError(f"the encrypted body of {row.id} is none of an event")
    (started_ms,) = _START.unpack_from(content)
    return Row(row.seq, row.id, started_ms, session, content[_START.size :])


def headers_of(row: Row, project: str, *, may_be_duplicate: bool) -> Dict[str, str]:
    """The headers for an event. Its body is the row's."""
    headers = {MESSAGE_ID: _published_id(row.id), PROJECT: _quoted(project)}
    if not is_sealed(row.body):
        headers[STARTED] = repr(row.started_ms)
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


def _published_id(id_: str) -> str:
    return id_ if id_.isprintable() else quote(id_)  # a damaged file may hold any text


@lru_cache(maxsize=1024)
def _quoted(value: str) -> str:
    """ASCII without spaces and line breaks: a client strips a header's ends, and replaces its line breaks."""
    return quote(value, safe="")
