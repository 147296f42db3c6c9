"""HoneyHive's ingestion routes, as this package uses them: sessions, event batches, look-ups.

The v1 routes are tried first. Where they do not exist the deprecated ones take the same events; the route that took
something last is remembered. One request each, no retry: the flusher decides.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Awaitable, Callable, List, NamedTuple, Optional, Sequence, Set

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._json import encode
from honeyhive_litellm._log import warn
from honeyhive_litellm._spool.record import Row

from .http_status import WAITING, Reply, Verdict, batch_body, classify, is_event
from .http_transport import HttpTransport

_REMEMBERED_SESSIONS = 10_000
_AT_ONCE = 8
_INGESTION_KEY = "hh_ingst_"
"""The prefix of keys that may write and not read."""


class LookUp(NamedTuple):
    """Which events the server has and which not; `trouble` is the reply that kept us from learning it of all."""

    found: List[Row]
    missing: List[Row]
    trouble: Optional[Reply]


class HoneyHiveSink:
    """The server's routes, behind one connection pool."""

    def __init__(self, transport: HttpTransport, settings: Settings) -> None:
        self.api_url = settings.api_url
        self._transport = transport
        self._source = settings.environment
        self._project = encode(settings.project)
        self._ensured: OrderedDict[str, None] = OrderedDict()
        self._is_legacy = False
        self.may_read = not settings.api_key.startswith(_INGESTION_KEY)

    async def ensure_sessions(self, rows: Sequence[Row]) -> Optional[Reply]:
        """Create the sessions that `rows` name, or find them there. None when done, else what keeps it from it."""
        return await _some_at_once(self._new_sessions(rows), self._ensure)

    async def post_events(self, rows: Sequence[Row]) -> Reply:
        """Post `rows` as one batch."""
        bodies = [row.body for row in rows]
        return await self._post(
            "/v1/events/batch",
            batch_body(bodies),
            "/events/batch",
            # Every body begins with its event_id, so the project goes in front without decoding it.
            lambda: batch_body([b'{"project":' + self._project + b"," + body[1:] for body in bodies]),
        )

    def _new_sessions(self, rows: Sequence[Row]) -> List[Row]:
        """The first event of each session that is not known to exist."""
        seen: Set[str] = set()
        new = []
        for row in rows:
            if row.session is not None and row.session not in self._ensured and row.session not in seen:
                seen.add(row.session)
                new.append(row)
        return new

    async def _ensure(self, row: Row) -> Optional[Reply]:
        """Post the session of `row`: doing so again changes nothing on the server."""
        assert row.session is not None
        session_id, _, name = row.session.partition(" ")
        session = {
            "session_id": session_id,
            "session_name": name or session_id,
            "source": self._source,
            "start_time": row.started_ms,
        }
        body = encode(session)
        reply = await self._post("/v1/sessions", body, "/session/start", lambda: b'{"session":' + body + b"}")
        verdict = classify(reply, 1)
        if verdict in WAITING:
            return reply
        if verdict is not Verdict.DELIVERED:
            # Not the events' fault: they are sent all the same, and the server gives them a session.
            warn("session", "honeyhive: the server refused a session (HTTP %s)", reply.status)
        self._ensured[row.session] = None
        while len(self._ensured) > _REMEMBERED_SESSIONS:
            self._ensured.popitem(last=False)
        return None

    async def _post(self, path: str, body: bytes, legacy_path: str, legacy_body: Callable[[], bytes]) -> Reply:
        """Post by the route that is known to work, and where that one answers 404 by the other."""
        first = None
        for is_legacy in (True, False) if self._is_legacy else (False, True):
            reply = await self._transport.post(*((legacy_path, legacy_body()) if is_legacy else (path, body)))
            if classify(reply, 1) is Verdict.DELIVERED:
                self._is_legacy = is_legacy
            if first is not None and classify(reply, 1) not in (Verdict.DELIVERED, Verdict.RETRY):
                # A route that was never seen at work: what it refuses tells of the address or key, not of the event.
                return first
            if reply.status != 404:
                return reply
            first = reply
        assert first is not None
        return first

    async def look_up(self, rows: Sequence[Row]) -> LookUp:
        """Ask for each of `rows`. Those that were not asked for because of `trouble` are in neither list."""
        found: List[Row] = []
        missing: List[Row] = []

        async def ask(row: Row) -> Optional[Reply]:
            reply = await self._transport.get(f"/v1/events/{row.id}")
            if is_event(reply):
                found.append(row)
            elif reply.status == 404:
                missing.append(row)
            else:
                return reply
            return None

        trouble = await _some_at_once(rows, ask)
        return LookUp(found, missing, trouble)


async def _some_at_once(rows: Sequence[Row], ask: Callable[[Row], Awaitable[Optional[Reply]]]) -> Optional[Reply]:
    """Ask for each row, for the first one alone, until there is trouble; the reply that tells of it.

    A server in trouble is not met by all requests of a batch.
    """
    trouble = await ask(rows[0]) if rows else None
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask_in_turn(row: Row) -> None:
        nonlocal trouble
        async with gate:
            if trouble is None:
                reply = await ask(row)
                trouble = trouble or reply

    await asyncio.gather(*(ask_in_turn(row) for row in rows[1:]))
    return trouble
