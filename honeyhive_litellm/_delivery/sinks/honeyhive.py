"""HoneyHive's ingestion routes as a sink: sessions, event batches, look-ups.

The v1 routes are tried first. Where they do not exist, the deprecated ones take the same events; the route that took
something last is remembered.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, Awaitable, Callable, Dict, Iterable, List, Optional, Sequence, Set, Tuple

from honeyhive_litellm._config.paths import DEFAULT_URL, NEWER_URL
from honeyhive_litellm._config.readers import WRITE_ONLY_KEY
from honeyhive_litellm._delivery.sink import WAITING, LookUp, Result, Verdict
from honeyhive_litellm._json import decode, encode
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._spool.record import Row

from .http_status import Reply, describe, is_page, result_of
from .http_transport import HttpTransport

MAX_SESSIONS = 10_000
"""How many sessions are remembered as created, those that had events last. One that was forgotten is posted again, and
the server merges the users of a later event into it."""

_CONCURRENT_REQUESTS = 8


class HoneyHiveSink:
    """One HoneyHive server behind one connection pool. See `Sink` for the methods."""

    suspicion = "the key or the address is"
    remedy = (
        "check api_key / HONEYHIVE_API_KEY and api_url / HONEYHIVE_API_URL "
        f"(a key works at one of HoneyHive's addresses: {DEFAULT_URL} or {NEWER_URL})"
    )

    def __init__(
        self,
        api_url: str,
        api_key: str,
        *,
        project: str,
        source: str,
        timeout_s: float,
        lookup_api_key: Optional[str] = None,
    ) -> None:
        """`source` is what sessions name as theirs; `timeout_s` bounds each request.

        `lookup_api_key` reads where `api_key` may only write.
        """
        self.name = api_url
        self.can_look_up = lookup_api_key is not None or not api_key.startswith(WRITE_ONLY_KEY)
        self._transport = HttpTransport(api_url, api_key, timeout_s=timeout_s, read_key=lookup_api_key)
        self._project = encode(project)
        self._source = source
        self._created_sessions: OrderedDict[str, None] = OrderedDict()
        self._is_legacy = False

    async def prepare(self, rows: Sequence[Row]) -> Optional[Result]:
        """Create the sessions that `rows` name. Repeating that changes nothing on the server."""
        return await _for_each(self._first_of_new_sessions(rows), self._create_session)

    async def send(self, rows: Sequence[Row], *, may_be_stored: bool = False) -> Result:
        events = [row.body for row in rows]
        reply = await self._post(
            "/v1/events/batch",
            batch_body(events),
            "/events/batch",
            # Every body begins with its event_id, so the project goes in front without decoding it.
            lambda: batch_body([b'{"project":' + self._project + b"," + body[1:] for body in events]),
        )
        return result_of(reply, len(rows))

    async def look_up(self, rows: Sequence[Row]) -> LookUp:
        found: List[Row] = []
        missing: List[Row] = []

        async def look_up_one(row: Row) -> Optional[Result]:
            reply = await self._transport.get(f"/v1/events/{row.id}")
            if is_event(reply):
                found.append(row)
            elif reply.status == 404:
                missing.append(row)
            else:
                return result_of(reply, 1)
            return None

        failure = await _for_each(rows, look_up_one)
        return LookUp(found, missing, failure)

    def may_have_stored(self, status: Optional[int]) -> bool:
        return result_of(Reply(status), 1).ambiguous

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _first_of_new_sessions(self, rows: Sequence[Row]) -> List[Row]:
        """The first event of each session that is not remembered as created."""
        seen: Set[str] = set()
        first = []
        for row in rows:
            if row.session is None or row.session in seen:
                continue
            seen.add(row.session)
            if row.session in self._created_sessions:
                self._created_sessions.move_to_end(row.session)
            else:
                first.append(row)
        return first

    async def _create_session(self, row: Row) -> Optional[Result]:
        assert row.session is not None
        session_id, _, name = row.session.partition(" ")
        session = {
            "session_id": session_id,
            "session_name": name or session_id,
            "source": self._source,
            "start_time": row.started_ms,
            **_user_properties_of(row.body),
        }
        body = encode(session)
        reply = await self._post("/v1/sessions", body, "/session/start", lambda: b'{"session":' + body + b"}")
        result = result_of(reply, 1)
        if result.verdict in WAITING:
            return result
        if result.verdict is not Verdict.DELIVERED:
            # The events are not to blame: they are sent all the same, and the server creates the session itself.
            warn(
                LogCode.SESSION_REFUSED,
                "honeyhive: %s refused to create a session (%s); its events are sent all the same",
                self.name,
                describe(reply),
            )
        self._created_sessions[row.session] = None
        while len(self._created_sessions) > MAX_SESSIONS:
            self._created_sessions.popitem(last=False)
        return None

    async def _post(self, path: str, body: bytes, legacy_path: str, legacy_body: Callable[[], bytes]) -> Reply:
        """Post to the route that worked last, and if that answers 404 to the other one."""

        async def post(is_legacy: bool) -> Tuple[Reply, Verdict]:
            reply = await self._transport.post(*((legacy_path, legacy_body()) if is_legacy else (path, body)))
            verdict = result_of(reply, 1).verdict
            if verdict is Verdict.DELIVERED:
                self._is_legacy = is_legacy
            return reply, verdict

        is_legacy = self._is_legacy
        first, _ = await post(is_legacy)
        if first.status != 404:
            return first
        second, verdict = await post(not is_legacy)
        # The other route has never worked here: its refusal says that address or key is wrong, not the event.
        return second if verdict in (Verdict.DELIVERED, Verdict.RETRY) else first


def _user_properties_of(event: bytes) -> Dict[str, Any]:
    """The session's users are those of its first event, which has what `session()` names as well."""
    if b'"user_properties":' not in event:
        return {}
    found = decode(event).get("user_properties")
    return {"user_properties": found} if isinstance(found, dict) else {}


def batch_body(events: Iterable[bytes]) -> bytes:
    """The body of a batch request (both `/v1/events/batch` and the legacy route) from encoded *events*."""
    return b'{"events":[' + b",".join(events) + b"]}"


def is_event(reply: Reply) -> bool:
    """Whether this answer to a look-up is the event. A failed call's event says `"success": false` of itself."""
    return reply.status == 200 and not is_page(reply)


async def _for_each(rows: Sequence[Row], request: Callable[[Row], Awaitable[Optional[Result]]]) -> Optional[Result]:
    """Make a request for each row, for the first one alone, until one fails; the failure.

    So a server in trouble gets one request and not those of a whole batch.
    """
    failure = await request(rows[0]) if rows else None
    gate = asyncio.Semaphore(_CONCURRENT_REQUESTS)

    async def request_unless_failed(row: Row) -> None:
        nonlocal failure
        async with gate:
            if failure is None:
                result = await request(row)
                failure = failure or result

    await asyncio.gather(*(request_unless_failed(row) for row in rows[1:]))
    return failure
