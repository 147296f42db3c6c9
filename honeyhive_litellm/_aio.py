"""Helpers for asyncio."""

from __future__ import annotations

import asyncio
from typing import Awaitable, Callable, Sequence, TypeVar

from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode

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


async def restart_forever(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` until cancelled. If it ends or raises, start it again a second later."""
    while True:
        try:
            await work()
        except Exception as error:
            warn(
                LogCode.TASK_RESTARTED,
                "honeyhive: the %s failed and is started again: %r",
                name,
                error,
                about=name,
            )
        await asyncio.sleep(1)


async def cancel_all(tasks: Sequence[asyncio.Future[None]]) -> None:
    """Cancel these tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def on_event_loop() -> bool:
    """Whether an event loop runs in this thread, so that blocking would stop it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
