"""Dead letters sent once more, because a person has mended what they were refused for."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._spool import dead_letters
from honeyhive_litellm._spool.dead_letters import DeadLetter
from honeyhive_litellm._spool.lease import Lease
from honeyhive_litellm._spool.record import Row
from honeyhive_litellm._spool.spool import BATCH_BYTES, BATCH_EVENTS

from .sinks.honeyhive import HoneyHiveSink
from .sinks.http_status import Reply, Verdict, classify, is_ambiguous
from .sinks.http_transport import HttpTransport

LOCK_NAME = "dead.lock"
_SECOND = 2  # attempt: a batch's 500 means that one of its events spoils it


class RedriveResult(NamedTuple):
    """How many letters were accepted, and refused again; `trouble` says why the others were not tried."""

    accepted: int = 0
    refused: int = 0
    trouble: Optional[str] = None

    def plus(self, other: RedriveResult) -> RedriveResult:
        return RedriveResult(
            self.accepted + other.accepted, self.refused + other.refused, self.trouble or other.trouble
        )


async def redrive(folder: Path, letters: Sequence[DeadLetter], settings: Settings) -> RedriveResult:
    """Send these letters again, oldest first. Accepted ones are removed, refused ones keep their new reason.

    Stops when the server takes nothing at all. Raises SpoolError, also when another retry is at work.
    """
    lock = Lease.take(folder / LOCK_NAME)
    if lock is None:
        raise SpoolError(f"another retry is at work in {folder}; wait for its end")
    transport = HttpTransport(settings.api_url, settings.api_key, timeout_s=settings.request_timeout)
    try:
        sender = _Sender(folder, HoneyHiveSink(transport, settings), settings.lookup_delay)
        result = RedriveResult()
        for batch in _batches(letters):
            if result.trouble is None:
                result = result.plus(await sender.send(batch))
        return result
    finally:
        await transport.aclose()
        lock.release(remove=True)


class _Sender:
    """Sends batches of letters of one folder."""

    def __init__(self, folder: Path, sink: HoneyHiveSink, lookup_delay_s: float) -> None:
        self._folder = folder
        self._sink = sink
        self._lookup_delay_s = lookup_delay_s

    async def send(self, letters: Sequence[DeadLetter]) -> RedriveResult:
        """Send those that the server does not have, for all that is known."""
        sure = [letter for letter in letters if _doubtful_since(letter) is None]
        doubtful = [letter for letter in letters if _doubtful_since(letter) is not None]
        result = await self._send([self._row(letter) for letter in sure])
        if not doubtful or result.trouble:
            return result
        newest = max(_doubtful_since(letter) or 0.0 for letter in doubtful)
        return result.plus(await self._send([self._row(letter) for letter in doubtful], newest))

    def _row(self, letter: DeadLetter) -> Row:
        body = dead_letters.body_of(self._folder, letter.id)
        if body is None:
            raise SpoolError(f"the dead letter {letter.id} has just been removed by somebody else")
        return Row(0, letter.id, letter.started_ms, letter.session, body)

    async def _send(self, rows: Sequence[Row], doubtful_since: Optional[float] = None) -> RedriveResult:
        """Send `rows`, after a look-up if the server may have had them since that Unix time."""
        found = 0
        if doubtful_since is not None:
            await asyncio.sleep(doubtful_since + self._lookup_delay_s - time.time())
            seen = await self._sink.look_up(rows)
            found = dead_letters.accepted(self._folder, [row.id for row in seen.found])
            if seen.trouble is not None and classify(seen.trouble, 1) is Verdict.RETRY:
                return RedriveResult(accepted=found, trouble=_words(seen.trouble))
            rows = [row for row in rows if row not in seen.found]  # all is known, or this key may not read
        return RedriveResult(accepted=found).plus(await self._post(rows) if rows else RedriveResult())

    async def _post(self, rows: Sequence[Row]) -> RedriveResult:
        refusal = await self._sink.ensure_sessions(rows)
        if refusal is not None:
            return RedriveResult(trouble=_words(refusal))
        ids = [row.id for row in rows]
        dead_letters.mark(self._folder, ids, time.time())
        reply = await self._sink.post_events(rows)
        verdict = classify(reply, len(rows), _SECOND if reply.status == 500 else 1)
        if verdict is Verdict.DELIVERED:
            return RedriveResult(accepted=dead_letters.accepted(self._folder, ids))
        doubtful_since = time.time() if is_ambiguous(reply) else None
        if verdict is Verdict.SPLIT:
            middle = len(rows) // 2
            first = await self._send(rows[:middle], doubtful_since)
            return first if first.trouble else first.plus(await self._send(rows[middle:], doubtful_since))
        if verdict is Verdict.REJECT or reply.status == 500:
            dead_letters.refused_again(self._folder, ids, reply.status, reply.body)
            return RedriveResult(refused=1)
        dead_letters.mark(self._folder, ids, doubtful_since)
        return RedriveResult(trouble=_words(reply))


def _doubtful_since(letter: DeadLetter) -> Optional[float]:
    """The Unix time since which the server may have the event although it did not say so."""
    if letter.retried_at is not None:
        return letter.retried_at
    return letter.at if letter.status is None or letter.status >= 500 else None


def _words(reply: Reply) -> str:
    return f"HTTP {reply.status}" if reply.status is not None else str(reply.error)


def _batches(letters: Sequence[DeadLetter]) -> Iterator[List[DeadLetter]]:
    batch: List[DeadLetter] = []
    size = 0
    for letter in letters:
        if batch and (len(batch) == BATCH_EVENTS or size + letter.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(letter)
        size += letter.size
    if batch:
        yield batch
