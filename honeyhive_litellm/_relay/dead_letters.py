"""The dead letters of all destinations: messages of one stream, with status and reason in their headers.

What was encrypted in its stream is so here, and the reason with it: the server's words may quote the event.

A last message on a subject of its own counts, for each destination, the letters that were sent again or purged: the
stream itself forgets them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import AsyncIterator, Dict, Mapping, NamedTuple, Optional, Sequence
from urllib.parse import quote, unquote

from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from honeyhive_litellm._broker.connection import Connection, NotConnectedError
from honeyhive_litellm._broker.message import decrypted, encrypted, headers_of, received
from honeyhive_litellm._broker.names import DEAD_STREAM, EVENT_ID, MESSAGE_ID, dead_subject_of, stream_of, subject_of
from honeyhive_litellm._errors import DamagedBodyError, HoneyHiveError
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher, key_id_of
from honeyhive_litellm._spool.record import Row

from .config import RUN_INIT

_STATUS = "HH-Status"
_REASON = "HH-Reason"
_ENCRYPTED_REASON = "HH-Encrypted-Reason"
_REFUSED_AT = "HH-Refused-At"
_MAX_REASON = 500
"""How many characters of a reason are kept: with its headers a letter must fit where its event did."""

_KIND = 6
"""What an encrypted reason is bound to, besides the event's id; encrypted bodies have other kinds."""

_TIMEOUT_S = 5.0
_NO_STREAM = 10059  # stream not found; a message that is not there has another error
_NO_SUCH_MESSAGE = (10037, 10043)  # no message found; sequence not found
_NO_MESSAGE = "no message found"  # a deletion says so with the number of every failed deletion, 10057


class DeadLetterError(HoneyHiveError):
    """The stream of dead letters could not be written or read."""


class RelayLetter(NamedTuple):
    """A dead letter. `seq` is its number in the stream of dead letters, `at` the Unix time of the refusal.

    `is_locked`: its key is missing, so that its reason is empty. `body` is encrypted if the event was: see `event_in`.
    """

    seq: int
    id: str
    destination: str
    at: float
    status: Optional[int]
    reason: str
    project: str
    started_ms: float
    session: Optional[str]
    body: bytes
    is_locked: bool

    @property
    def row(self) -> Row:
        """The event as it was published."""
        return Row(self.seq, self.id, self.started_ms, self.session, self.body)


class Account(NamedTuple):
    """How many letters of a destination were sent again, and how many purged. `seq` is the message that says so."""

    retried: int = 0
    purged: int = 0
    seq: int = 0


async def add_dead_letter(
    connection: Connection,
    destination: str,
    row: Row,
    project: str,
    status: Optional[int],
    reason: str,
    cipher: Cipher = NO_CIPHER,
) -> None:
    """Store an event that was refused, encrypted if the cipher has a key.

    Raises DeadLetterError unless the broker has confirmed it.
    """
    published = encrypted(row, cipher)
    headers = headers_of(published, project, may_be_duplicate=True)
    # Once for each message of the stream: an event that is sent again and refused again is a letter again.
    # The number is the message's in its own stream, and all destinations share the stream of dead letters.
    headers[MESSAGE_ID] = f"{destination}.{row.id}.{row.seq}"
    headers[EVENT_ID] = row.id
    if cipher.key_id is None:
        headers[_REASON] = quote(reason[:_MAX_REASON], safe=" ")
    else:
        text = reason.encode("utf-8", "replace")[:_MAX_REASON]
        headers[_ENCRYPTED_REASON] = base64.b64encode(cipher.seal(row.id, _KIND, text)).decode()
    headers[_REFUSED_AT] = repr(time.time())
    if status is not None:
        headers[_STATUS] = str(status)
    try:
        client = await connection.client(timeout_s=_TIMEOUT_S)
        await client.jetstream(timeout=_TIMEOUT_S).publish(
            dead_subject_of(destination), published.body, stream=DEAD_STREAM, headers=headers
        )
    except (Error, NotConnectedError, OSError, asyncio.TimeoutError) as error:
        raise DeadLetterError(_words(connection, error)) from error


async def letters(js: JetStreamContext, destination: str, cipher: Cipher = NO_CIPHER) -> AsyncIterator[RelayLetter]:
    """The dead letters of a destination, oldest first. Raises DeadLetterError."""
    seq = 0
    while True:
        found = await _next(js, dead_subject_of(destination), seq + 1)
        if found is None or found.seq is None:
            return
        seq = found.seq
        letter = _letter(destination, found, cipher)
        if letter is not None:
            yield letter


def event_in(letter: RelayLetter, cipher: Cipher) -> bytes:
    """The event of a letter. Raises UnknownKeyError and DamagedBodyError."""
    return decrypted(letter.row, cipher).body


async def retry(js: JetStreamContext, chosen: Sequence[RelayLetter]) -> None:
    """Publish these letters of one destination to its stream again, and remove each one then. Raises DeadLetterError.

    If this process dies in between, the event is published twice; the header then has a relay look it up.
    """
    done = 0
    try:
        for letter in chosen:
            headers = headers_of(letter.row, letter.project, may_be_duplicate=True)
            # Not the event's id alone: within the window for duplicates the broker would drop it.
            headers[MESSAGE_ID] = f"{letter.id}.dead.{letter.seq}"
            headers[EVENT_ID] = letter.id
            subject, stream = subject_of(letter.destination), stream_of(letter.destination)
            await js.publish(subject, letter.body, stream=stream, headers=headers)
            done += 1
            await _remove(js, letter)
    except (Error, asyncio.TimeoutError) as error:
        raise DeadLetterError(f"{done} of {len(chosen)} were sent again: {_text(error)}") from error
    finally:
        if done:
            await _add_to_account(js, chosen[0].destination, retried=done)


async def purge(js: JetStreamContext, chosen: Sequence[RelayLetter]) -> None:
    """Delete these letters of one destination for good. Raises DeadLetterError."""
    done = 0
    try:
        for letter in chosen:
            await _remove(js, letter)
            done += 1
    except (Error, asyncio.TimeoutError) as error:
        raise DeadLetterError(f"{done} of {len(chosen)} were purged: {_text(error)}") from error
    finally:
        if done:
            await _add_to_account(js, chosen[0].destination, purged=done)


async def account_of(js: JetStreamContext, destination: str) -> Account:
    """What became of letters that are gone. Raises DeadLetterError."""
    try:
        found = await js.get_last_msg(DEAD_STREAM, _account_subject(destination))
    except NotFoundError as error:
        if error.err_code == _NO_STREAM:
            raise DeadLetterError(_text(error)) from error
        return Account()
    except (Error, asyncio.TimeoutError) as error:
        raise DeadLetterError(_text(error)) from error
    numbers: Dict[str, int] = json.loads(found.data or b"{}")
    return Account(numbers.get("retried", 0), numbers.get("purged", 0), found.seq or 0)


async def _add_to_account(js: JetStreamContext, destination: str, *, retried: int = 0, purged: int = 0) -> None:
    """Count letters that are gone. Raises DeadLetterError, also if another process counts at this moment."""
    before = await account_of(js, destination)
    after = {"retried": before.retried + retried, "purged": before.purged + purged}
    try:
        await js.publish(
            _account_subject(destination),
            json.dumps(after).encode(),
            stream=DEAD_STREAM,
            headers={"Nats-Expected-Last-Subject-Sequence": str(before.seq)},
        )
        if before.seq:
            await js.delete_msg(DEAD_STREAM, before.seq)
    except (Error, asyncio.TimeoutError) as error:
        raise DeadLetterError(_text(error)) from error


def _account_subject(destination: str) -> str:
    return f"{dead_subject_of(destination)}.account"


async def _next(js: JetStreamContext, subject: str, seq: int) -> Optional[RawStreamMsg]:
    try:
        return await js.get_msg(DEAD_STREAM, seq, subject=subject, next=True)
    except NotFoundError as error:
        if error.err_code == _NO_STREAM:
            raise DeadLetterError(_text(error)) from error
        return None  # no message from this number on
    except (Error, asyncio.TimeoutError) as error:
        raise DeadLetterError(_text(error)) from error


async def _remove(js: JetStreamContext, letter: RelayLetter) -> None:
    try:
        await js.delete_msg(DEAD_STREAM, letter.seq)
    except APIError as error:
        is_gone = error.err_code in _NO_SUCH_MESSAGE or _NO_MESSAGE in (error.description or "")
        if not is_gone:  # else another process has removed it
            raise


def _letter(destination: str, found: RawStreamMsg, cipher: Cipher) -> Optional[RelayLetter]:
    """The letter in a message; None if it holds none of ours."""
    headers: Mapping[str, str] = found.headers or {}
    assert found.seq is not None
    try:
        event = received(found.seq, headers, found.data or b"")
        at = float(headers.get(_REFUSED_AT, "0"))
        status = int(headers[_STATUS]) if _STATUS in headers else None
    except ValueError:
        return None
    row = event.row
    key_id = key_id_of(row.body)
    is_locked = key_id is not None and bool(cipher.missing([key_id]))
    reason = "" if is_locked else _reason(row.id, headers, cipher)
    return RelayLetter(
        found.seq,
        row.id,
        destination,
        at,
        status,
        reason,
        event.project,
        row.started_ms,
        row.session,
        row.body,
        is_locked,
    )


def _reason(id_: str, headers: Mapping[str, str], cipher: Cipher) -> str:
    stored = headers.get(_ENCRYPTED_REASON)
    if stored is None:
        return unquote(headers.get(_REASON, ""))
    try:
        return cipher.open(id_, _KIND, base64.b64decode(stored, validate=True)).decode("utf-8", "replace")
    except (ValueError, DamagedBodyError):
        return "(damaged)"


def _text(error: BaseException) -> str:
    """What the broker said of its stream; it knows no content of events."""
    if isinstance(error, NoStreamResponseError) or (isinstance(error, NotFoundError) and error.err_code == _NO_STREAM):
        return f"a stream is missing or has no leader: {RUN_INIT}"
    return getattr(error, "description", None) or str(error) or type(error).__name__


def _words(connection: Connection, error: BaseException) -> str:
    if connection.denial is not None:
        denial = connection.denial
        connection.forget_denial()
        return f"not permitted: {denial}"
    if isinstance(error, NotConnectedError):
        return str(error)
    if isinstance(error, NoStreamResponseError):
        return f"the stream {DEAD_STREAM} has no leader or is missing: if this lasts, {RUN_INIT}"
    return f"the stream {DEAD_STREAM} does not confirm it ({type(error).__name__})"
