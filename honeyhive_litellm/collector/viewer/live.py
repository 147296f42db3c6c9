"""New events as server-sent events: each as the row that the list shows, numbered by its record.

A browser that lost the connection says with `Last-Event-ID` what it has, and gets what it missed. A list with many
events missed is not filled up row by row: it is told to load again.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set

import orjson

from honeyhive_litellm.collector import _queries as queries
from honeyhive_litellm.collector._database import Database, QueryTimeoutError
from honeyhive_litellm.collector._filter import Filter
from honeyhive_litellm.collector._index import Index
from honeyhive_litellm.collector._queries import Row

from .pages import READ_TIMEOUT_S

MOST_CONNECTIONS = 32
HEARTBEAT_S = 15.0
_AT_ONCE = 200
_PAUSE_S = 0.15
"""Between two messages of one connection: what comes closer together goes together."""


class Batch(NamedTuple):
    """The rows after a record, and the record up to which that is all."""

    rows: List[Row]
    names: Dict[str, str]
    through: int
    is_too_many: bool


class Live:
    """The connections that wait for news. `announce` may be called from any thread."""

    def __init__(self, database: Database, index: Index, loop: asyncio.AbstractEventLoop) -> None:
        self._database = database
        self._index = index
        self._loop = loop
        self._waiting: Set[asyncio.Event] = set()
        self._hang_ups = 0

    @property
    def is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return len(self._waiting) >= MOST_CONNECTIONS

    def announce(self) -> None:
        """Wake every connection."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def hang_up(self) -> None:
        """End every connection."""
        self._hang_ups += 1
        self._wake()

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()

    async def follow(
        self, meant: Filter, since: int, render: Callable[[Row, Dict[str, str]], str], send: Callable[[bytes], Any]
    ) -> None:
        """Send what comes after the record *since*, until the connection or the server ends."""
        news = asyncio.Event()
        news.set()
        self._waiting.add(news)
        hang_ups = self._hang_ups
        try:
            while hang_ups == self._hang_ups:
                try:
                    await asyncio.wait_for(news.wait(), HEARTBEAT_S)
                except asyncio.TimeoutError:
                    await send(b": still here\n\n")
                    continue
                news.clear()
                batch = await self._loop.run_in_executor(None, self._after, meant, since)
                if batch is None:
                    continue
                if (
                    batch.through < since or batch.is_too_many
                ):  # everything was cleared, or a page of news is not enough
                    await send(_message(batch.through, "reload", {}))
                elif batch.rows:
                    rows = [{"seq": row.seq, "html": render(row, batch.names)} for row in batch.rows]
                    await send(_message(batch.through, "rows", {"rows": rows}))
                since = batch.through
                await asyncio.sleep(_PAUSE_S)
        finally:
            self._waiting.discard(news)

    def _after(self, meant: Filter, since: int) -> Optional[Batch]:
        search = queries.search_for(meant, time.time() * 1000.0, self._index.has_full_text)
        try:
            with self._database.read(READ_TIMEOUT_S) as connection:
                through = queries.last_searchable(connection) if meant.q else queries.last_seq(connection)
                rows = queries.arrived_since(connection, search, since, _AT_ONCE + 1) if through > since else []
                names = queries.session_names(connection, [row.summary.session_id for row in rows])
        except QueryTimeoutError:
            return None
        rows = [row for row in rows if row.seq <= through]
        return Batch(rows, names, through, len(rows) > _AT_ONCE)


def _message(seq: int, kind: str, data: Any) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (seq, kind.encode(), orjson.dumps(data))
