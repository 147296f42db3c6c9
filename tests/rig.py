"""A spool, a flusher at work on it, and the numbers: delivery without LiteLLM and without a process of its own."""

from __future__ import annotations

import functools
import json
import time
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, AsyncIterator, List, Optional

from honeyhive_litellm import Settings
from honeyhive_litellm._delivery.backoff import BackOff
from honeyhive_litellm._runtime.pipeline import Pipeline
from honeyhive_litellm._spool.record import EVENT, Record
from honeyhive_litellm._stats import Counters, Stats

from .waiting import PATIENCE_S, Condition, until_on_loop

QUICK = BackOff(first_s=0.02, longest_s=0.1)


def event(number: int, session: Optional[str] = None, text: str = "") -> Record:
    """Event *number*; *session* is "<uuid> <name>", *text* goes into its input."""
    id_ = str(uuid.UUID(int=number + 1))
    body = {"event_id": id_, "event_type": "model", "event_name": f"e{number}", "inputs": {"n": number, "text": text}}
    if session is not None:
        body["session_id"] = session.partition(" ")[0]
    return Record(EVENT, id_, 1700000000000.0, session, json.dumps(body).encode())


class Rig:
    """The pipeline of a runtime, on the test's own loop."""

    def __init__(self, folder: Path, url: str, *, back_off: BackOff = QUICK, **options: Any) -> None:
        chosen = {"project": "p", "lookup_delay": 0, "request_timeout": 2, "api_key": "hh_key", **options}
        self.settings = Settings(api_url=url, spool_path=folder, **chosen)
        self.counters = Counters()
        self.pipeline = Pipeline(self.settings, self.counters, back_off=back_off)
        self.spool, self.flusher = self.pipeline.spool, self.pipeline.flusher

    @property
    def stats(self) -> Stats:
        return self.counters.snapshot()

    async def take(self, records: List[Record]) -> None:
        self.counters.accept(len(records))
        await self.spool.append(records)
        self.flusher.wake()

    async def until(self, holds: Condition, timeout_s: float = PATIENCE_S) -> None:
        await until_on_loop(holds, timeout_s, lambda: self.stats)

    async def feed_until(self, holds: Condition, first: int, timeout_s: float = PATIENCE_S) -> int:
        """An application that goes on making calls, one after the other, until `holds()`; how many it made.

        All of them have been delivered when this returns.
        """
        deadline = time.monotonic() + timeout_s
        made = 0
        while not holds():
            assert time.monotonic() < deadline, self.stats
            before = self.stats.delivered
            await self.take([event(first + made)])
            made += 1
            await self.until(functools.partial(self._is_beyond, before, holds))
        await self.settled()
        return made

    def _is_beyond(self, delivered: int, holds: Condition) -> bool:
        return self.stats.delivered > delivered or bool(holds())

    async def settled(self, timeout_s: float = PATIENCE_S) -> None:
        await self.until(lambda: self.stats.pending == 0, timeout_s)


@asynccontextmanager
async def running(folder: Path, url: str, **options: Any) -> AsyncIterator[Rig]:
    rig = Rig(folder, url, **options)
    await rig.spool.adopt()
    rig.flusher.set_urgent(True)
    rig.pipeline.start("flusher", rig.flusher.run)
    try:
        yield rig
    finally:
        await rig.pipeline.aclose()
