"""A spool, a flusher at work on it, and the numbers: delivery without LiteLLM and without a process of its own."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, AsyncIterator, List, Optional

from honeyhive_litellm import Settings
from honeyhive_litellm._delivery.backoff import BackOff
from honeyhive_litellm._delivery.flusher import Flusher
from honeyhive_litellm._delivery.sinks.factory import sink_for
from honeyhive_litellm._spool.limits import Limits
from honeyhive_litellm._spool.record import EVENT, Record
from honeyhive_litellm._spool.spool import Spool
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
    """What the runtime puts together, on the test's own loop."""

    def __init__(self, folder: Path, url: str, *, back_off: BackOff = QUICK, **options: Any) -> None:
        chosen = {"lookup_delay": 0, "request_timeout": 2, "api_key": "hh_key", **options}
        self.settings = Settings(project="p", api_url=url, spool_path=folder, **chosen)
        self.counters = Counters()
        self.spool = Spool(folder, self.counters, durability="process", limits=Limits())
        self.sink = sink_for(self.settings)
        self.flusher = Flusher(
            self.spool,
            self.sink,
            self.counters,
            lookup_delay_s=self.settings.lookup_delay,
            on_delivered=lambda rows: None,
            back_off=back_off,
        )

    @property
    def stats(self) -> Stats:
        return self.counters.snapshot()

    async def take(self, records: List[Record]) -> None:
        self.counters.accept(len(records))
        await self.spool.append(records)
        self.flusher.wake()

    async def until(self, holds: Condition, timeout_s: float = PATIENCE_S) -> None:
        await until_on_loop(holds, timeout_s, lambda: self.stats)

    async def settled(self, timeout_s: float = PATIENCE_S) -> None:
        await self.until(lambda: self.stats.pending == 0, timeout_s)


@asynccontextmanager
async def running(folder: Path, url: str, **options: Any) -> AsyncIterator[Rig]:
    rig = Rig(folder, url, **options)
    await rig.spool.adopt()
    rig.flusher.set_urgent(True)
    task = asyncio.ensure_future(rig.flusher.run())
    try:
        yield rig
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await rig.sink.aclose()
        await rig.spool.close()
