"""Wait, with a deadline, for what happens on another thread, in another process or on the test's own loop."""

from __future__ import annotations

import asyncio
import time
from typing import Awaitable, Callable, Iterator, Union

import honeyhive_litellm

PATIENCE_S = 40.0
EVERY_S = 0.005

Condition = Callable[[], object]
Description = Union[str, Callable[[], object]]


def until(
    holds: Condition, timeout_s: float = PATIENCE_S, what: Description = "the condition", every_s: float = EVERY_S
) -> None:
    """Return once `holds()` is true; fail after `timeout_s` with `what`, or with what that function returns."""
    for pause_s in _pauses(holds, timeout_s, what, every_s):
        time.sleep(pause_s)


async def until_on_loop(
    holds: Condition, timeout_s: float = PATIENCE_S, what: Description = "the condition", every_s: float = EVERY_S
) -> None:
    """`until`, while the loop runs on. With `every_s=0` the condition is evaluated at each turn of the loop."""
    for pause_s in _pauses(holds, timeout_s, what, every_s):
        await asyncio.sleep(pause_s)


async def until_awaited(
    holds: Callable[[], Awaitable[object]],
    timeout_s: float = PATIENCE_S,
    what: Description = "the condition",
    every_s: float = EVERY_S,
) -> None:
    """`until`, for a condition that has to be awaited."""
    pauses = _pauses(lambda: False, timeout_s, what, every_s)
    while not await holds():
        await asyncio.sleep(next(pauses))


async def let_others_run(turns: int = 50) -> None:
    """So many turns of the loop: by then a task has ended unless it waits for time, IO or an event."""
    for _ in range(turns):
        await asyncio.sleep(0)


def until_committed(events: int) -> None:
    """Return when so many events, and all that were accepted, are on disk."""

    def holds() -> bool:
        honeyhive_litellm.flush(0.1)  # waits for the callbacks that LiteLLM still has to make, too
        stats = honeyhive_litellm.stats()
        return stats.committed == stats.accepted == events

    until(holds, what=honeyhive_litellm.stats)


def _pauses(holds: Condition, timeout_s: float, what: Description, every_s: float) -> Iterator[float]:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what() if callable(what) else what}")
        yield every_s
