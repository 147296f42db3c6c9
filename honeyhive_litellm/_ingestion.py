"""HoneyHive's ingestion routes, as this package uses them: sessions, event batches, look-ups.

The v1 routes are tried first. Where they do not exist the deprecated ones take the same events; which of the two
a server has is asked once and remembered. One request each, no retry: the flusher decides.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Callable, List, Optional, Sequence, Set, Union

from ._config import Settings
from ._delivery import Reply, Verdict, batch_body, classify, is_event
from ._event import encode
from ._log import warn
from ._record import Row
from ._transport import Transport

_REMEMBERED_SESSIONS = 10_000
_LOOK_UPS_AT_ONCE = 8
_INGESTION_KEY = "hh_ingst_"
"""The prefix of keys that may write and not read."""


class Ingestion:
    """The server's routes, behind one connection pool."""

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self.api_url = settings.api_url
        self._transport = transport
        self._source = settings.environment
        self._project = encode(settings.project)
        self._ensured: OrderedDict[str, None] = OrderedDict()
        self._legacy: Optional[bool] = None
        self._may_read = not settings.api_key.startswith(_INGESTION_KEY)

    async def ensure_sessions(self, rows: Sequence[Row]) -> Optional[Reply]:
        """Create the sessions that `rows` name, or find them there. None when done, else what keeps it from it."""
        for row in self._new_sessions(rows):
            reply = await self._ensure(row)
            if reply is not None:
                return reply
        return None

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
        verdict = classify(reply, 1, 1)
        if verdict in (Verdict.RETRY, Verdict.PAUSE):
            return reply
        if verdict is not Verdict.DELIVERED:
            # Not the events' fault: they are sent all the same, and the server gives them a session.
            warn("session", "honeyhive: the server refused a session (HTTP %s)", reply.status)
        self._ensured[row.session] = None
        while len(self._ensured) > _REMEMBERED_SESSIONS:
            self._ensured.popitem(last=False)
        return None

    async def _post(self, path: str, body: bytes, legacy_path: str, legacy_body: Callable[[], bytes]) -> Reply:
        reply = None
        if self._legacy is not True:
            reply = await self._transport.post(path, body)
            if reply.status != 404 or self._legacy is False:
                self._learn(reply, legacy=False)
                return reply
        legacy_reply = await self._transport.post(legacy_path, legacy_body())
        self._learn(legacy_reply, legacy=True)
        return legacy_reply if reply is None or legacy_reply.status != 404 else reply

    def _learn(self, reply: Reply, *, legacy: bool) -> None:
        if reply.status is not None and 200 <= reply.status < 300:
            self._legacy = legacy

    async def look_up(self, rows: Sequence[Row]) -> Union[Reply, List[Row]]:
        """Those of `rows` that the server does not have; or the reply that kept us from learning it.

        Where the key may not read, nothing can be learned and all are answered as missing.
        """
        if not self._may_read:
            return list(rows)
        gate = asyncio.Semaphore(_LOOK_UPS_AT_ONCE)

        async def ask(row: Row) -> Reply:
            async with gate:
                return await self._transport.get(f"/v1/events/{row.id}")

        missing = []
        for row, reply in zip(rows, await asyncio.gather(*(ask(row) for row in rows))):
            if reply.status == 404:
                missing.append(row)
            elif classify(reply, 1, 1) is Verdict.RETRY:
                return reply
            elif not is_event(reply):
                return list(rows)
        return missing
