"""Spools without a process of their own: records, a spool that takes them, its drain, and its death."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, List, Optional

from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher
from honeyhive_litellm._spool.ledger import Ledger
from honeyhive_litellm._spool.limits import Limits
from honeyhive_litellm._spool.record import EVENT, START, Record
from honeyhive_litellm._spool.segment import Batch
from honeyhive_litellm._spool.spool import Spool
from honeyhive_litellm._stats import Counters, Totals


def event(name: str, size: int = 10) -> Record:
    return Record(EVENT, name, 1.0, None, json.dumps({"event_id": name, "x": "x" * size}).encode())


def start(name: str) -> Record:
    body = {"event_id": name, "inputs": {"q": "?"}, "metadata": {"status": "in_flight", "model": "gpt-4o"}}
    return Record(START, name, 1.0, None, json.dumps(body).encode())


def spool_in(
    folder: Path,
    counters: Optional[Counters] = None,
    cipher: Cipher = NO_CIPHER,
    *,
    delivers: bool = True,
    keep_s: float = 0.0,
    **limits: Any,
) -> Spool:
    return Spool(
        folder,
        counters or Counters(),
        durability="process",
        limits=Limits(**limits),
        cipher=cipher,
        delivers=delivers,
        keep_s=keep_s,
    )


async def batches_of(spool: Spool) -> List[Batch]:
    """Every batch there is, unsettled."""
    batches: List[Batch] = []
    while True:
        batch = await spool.next_batch()
        if batch is None:
            return batches
        batches.append(batch)


async def drained(spool: Spool, counters: Optional[Counters] = None) -> List[str]:
    """Take and settle everything there is, as delivered in `counters`; the ids of the events."""
    ids: List[str] = []
    while True:
        batch = await spool.next_batch()
        if batch is None:
            return ids
        ids += [row.id for row in batch.rows]
        if counters is not None:
            counters.deliver(len(batch.rows))
        await spool.settle(batch)


async def count_missing(folder: Path, events: int) -> None:
    """Have the ledger say that so many events were accepted which are nowhere."""
    await Ledger(folder).correct(Totals(accepted=events))


async def dies(spool: Spool) -> None:
    """End a spool as a kill of its process would: its locks go, and each segment's journal stays beside it."""
    for segment in spool.segments():
        if segment.connection is not None:
            files = [Path(f"{segment.path}{suffix}") for suffix in ("", "-wal")]
            left = [(path, path.read_bytes()) for path in files if path.exists()]
            await segment.close()
            for path, content in left:
                path.write_bytes(content)
    for owned in (spool._held.own, *spool._held.adopted.values()):
        if owned.lease is not None:
            owned.lease.release(remove=False)
