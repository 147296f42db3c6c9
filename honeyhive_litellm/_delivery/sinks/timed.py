"""A sink that measures how long each batch takes."""

from __future__ import annotations

import time
from typing import Callable, Optional, Sequence

from honeyhive_litellm._delivery.sink import LookUp, Result, Sink
from honeyhive_litellm._spool.record import Row


class TimedSink:
    """Does what the `sink` does, and calls `on_batch` with the seconds and the verdict of each `send`."""

    def __init__(self, sink: Sink, on_batch: Callable[[float, str], None]) -> None:
        self._sink = sink
        self._on_batch = on_batch
        self.name = sink.name
        self.suspicion = sink.suspicion
        self.remedy = sink.remedy
        self.can_look_up = sink.can_look_up

    async def prepare(self, rows: Sequence[Row]) -> Optional[Result]:
        return await self._sink.prepare(rows)

    async def send(self, rows: Sequence[Row], *, may_be_stored: bool = False) -> Result:
        began = time.monotonic()
        result = await self._sink.send(rows, may_be_stored=may_be_stored)
        self._on_batch(time.monotonic() - began, result.verdict.value)
        return result

    async def look_up(self, rows: Sequence[Row]) -> LookUp:
        return await self._sink.look_up(rows)

    def may_have_stored(self, status: Optional[int]) -> bool:
        return self._sink.may_have_stored(status)

    async def aclose(self) -> None:
        await self._sink.aclose()
