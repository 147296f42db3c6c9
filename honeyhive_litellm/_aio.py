"""Helpers for asyncio."""

from __future__ import annotations

import asyncio
from typing import Awaitable, TypeVar

_T = TypeVar("_T")


async def run_to_completion(work: Awaitable[_T]) -> _T:
    """Await `work` to its end, even if cancelled meanwhile, once or more often, and only then raise CancelledError.

    For work that a cancellation cannot stop: aiosqlite's thread finishes a statement whatever becomes of its awaiter. A
    cancelled commit would still commit, and a connection whose opening was cancelled would call back into a loop that
    may be closed by then.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                pass  # raised below already
        raise
