"""Sends dead letters again, after someone has fixed what they were refused for."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence

from honeyhive_litellm._errors import DamagedBodyError, SpoolError, UnknownKeyError
from honeyhive_litellm._json import decode
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher
from honeyhive_litellm._spool import dead_letters
from honeyhive_litellm._spool.dead_letters import DeadLetter
from honeyhive_litellm._spool.lease import Lease
from honeyhive_litellm._spool.limits import BATCH_BYTES, BATCH_EVENTS
from honeyhive_litellm._spool.record import Row

from .sink import WAITING, Result, Sink, Verdict

LOCK_NAME = "dead.lock"


class RedriveResult(NamedTuple):
    """How many letters were accepted, and how many refused again.

    `other_project` of the others belong to another project. `failure` is why the rest was not tried, None if it was.
    """

    accepted: int = 0
    refused: int = 0
    failure: Optional[Result] = None
    other_project: int = 0

    def plus(self, other: RedriveResult) -> RedriveResult:
        return RedriveResult(
            self.accepted + other.accepted,
            self.refused + other.refused,
            self.failure or other.failure,
            self.other_project + other.other_project,
        )


async def redrive(
    folder: Path,
    letters: Sequence[DeadLetter],
    sink: Sink,
    *,
    lookup_delay_s: float,
    cipher: Cipher = NO_CIPHER,
    project: Optional[str] = None,
) -> RedriveResult:
    """Send these letters again, oldest first. Accepted ones are removed, refused ones keep their new reason.

    Those that cannot be decrypted are left alone, and so are those of another project than `project`, if there is one.

    Stops when the server takes nothing at all. Raises SpoolError, also while another process redrives.
    """
    lock = Lease.take(folder / LOCK_NAME)
    if lock is None:
        raise SpoolError(f"another process sends the dead letters in {folder} again; wait until it has ended")
    try:
        redriver = _Redriver(folder, sink, lookup_delay_s, cipher, project)
        result = RedriveResult()
        for batch in _batches([letter for letter in letters if not letter.is_locked]):
            if result.failure is None:
                result = result.plus(await redriver.send(batch))
        return result._replace(other_project=redriver.other_project)
    finally:
        lock.release(remove=True)


class _Redriver:
    """Sends batches of letters of one folder."""

    def __init__(self, folder: Path, sink: Sink, lookup_delay_s: float, cipher: Cipher, project: Optional[str]) -> None:
        self._folder = folder
        self._sink = sink
        self._lookup_delay_s = lookup_delay_s
        self._cipher = cipher
        self._project = project
        self.other_project = 0
        """How many letters were left alone since they are of another project."""

    async def send(self, letters: Sequence[DeadLetter]) -> RedriveResult:
        """Send a batch: at once the letters that the server cannot have, after a look-up those that it may have."""
        clear = [letter for letter in letters if self._ambiguous_since(letter) is None]
        ambiguous = [letter for letter in letters if self._ambiguous_since(letter) is not None]
        result = await self._send(self._rows(clear))
        if not ambiguous or result.failure:
            return result
        newest = max(self._ambiguous_since(letter) or 0.0 for letter in ambiguous)
        return result.plus(await self._send(self._rows(ambiguous), newest))

    def _ambiguous_since(self, letter: DeadLetter) -> Optional[float]:
        """The Unix time since which the server may have the event although it did not say so."""
        if letter.retried_at is not None:
            return letter.retried_at
        return letter.at if self._sink.may_have_stored(letter.status) else None

    def _rows(self, letters: Sequence[DeadLetter]) -> List[Row]:
        rows = []
        for letter in letters:
            try:
                row = dead_letters.row_of(self._folder, letter.id, self._cipher)
            except (UnknownKeyError, DamagedBodyError):
                continue  # it counts as not tried
            if row is None:
                raise SpoolError(f"the dead letter {letter.id} has just been removed by another process")
            if self._project is not None and _project_of(row.body) not in (None, self._project):
                self.other_project += 1
            else:
                rows.append(row)
        return rows

    async def _send(self, rows: Sequence[Row], ambiguous_since: Optional[float] = None) -> RedriveResult:
        """Send `rows`, after a look-up if the server may have had them since that Unix time."""
        found = 0
        if ambiguous_since is not None and rows and self._sink.can_look_up:
            await asyncio.sleep(ambiguous_since + self._lookup_delay_s - time.time())
            looked_up = await self._sink.look_up(rows)
            found = dead_letters.accepted(self._folder, [row.id for row in looked_up.found])
            if looked_up.failure is not None and looked_up.failure.verdict is Verdict.RETRY:
                return RedriveResult(accepted=found, failure=looked_up.failure)
            rows = [row for row in rows if row not in looked_up.found]
        return RedriveResult(accepted=found).plus(
            await self._send_now(rows, may_be_stored=ambiguous_since is not None) if rows else RedriveResult()
        )

    async def _send_now(self, rows: Sequence[Row], *, may_be_stored: bool) -> RedriveResult:
        failure = await self._sink.prepare(rows)
        if failure is not None:
            return RedriveResult(failure=failure)
        ids = [row.id for row in rows]
        dead_letters.mark(self._folder, ids, time.time())
        result = await self._sink.send(rows, may_be_stored=may_be_stored)
        stored = {row.id for row in result.delivered}
        if stored:
            accepted = dead_letters.accepted(self._folder, sorted(stored))
            rest = await self._act(result, [row for row in rows if row.id not in stored])
            return RedriveResult(accepted=accepted).plus(rest)
        return await self._act(result, rows)

    async def _act(self, result: Result, rows: Sequence[Row]) -> RedriveResult:
        ids = [row.id for row in rows]
        verdict = _verdict(result, len(rows))
        if verdict is Verdict.DELIVERED:
            return RedriveResult(accepted=dead_letters.accepted(self._folder, ids))
        ambiguous_since = time.time() if result.ambiguous else None
        if verdict is Verdict.SPLIT:
            middle = len(rows) // 2
            first = await self._send(rows[:middle], ambiguous_since)
            return first if first.failure else first.plus(await self._send(rows[middle:], ambiguous_since))
        if verdict is Verdict.REJECT:
            dead_letters.refused_again(self._folder, ids, result.status, result.reason, self._cipher)
            return RedriveResult(refused=1)
        dead_letters.mark(self._folder, ids, ambiguous_since)
        return RedriveResult(failure=result)


def _project_of(event: bytes) -> Optional[str]:
    """The project that an event names; None if it names none."""
    try:
        metadata = decode(event).get("metadata")
    except ValueError:
        return None
    project = metadata.get("project") if isinstance(metadata, dict) else None
    return project if isinstance(project, str) else None


def _verdict(result: Result, events: int) -> Verdict:
    """The verdict on one attempt. The flusher confirms by a second one that an event fails; a redrive has one only."""
    if result.verdict in WAITING and result.some_failed:
        return Verdict.SPLIT if events > 1 else Verdict.REJECT
    return result.verdict


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
