"""Helpers for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any, Awaitable, Callable, List, Optional, Sequence, TypeVar

from honeyhive_litellm._foreign import class_name
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode

_T = TypeVar("_T")

RESTART_AFTER_S = 1.0


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


async def restart_forever(name: str, work: Callable[[], Awaitable[None]], is_over: Callable[[], bool]) -> None:
    """Run `work` until cancelled. If it ends or raises anything, start it again a second later.

    A cancellation ends it only once `is_over()`: any other one was not meant for it.
    """
    while not is_over():
        try:
            await work()
            await asyncio.sleep(RESTART_AFTER_S)
        except BaseException as error:
            if is_over() or not on_event_loop():  # not on one: a GeneratorExit, since the loop is gone
                raise
            warn(
                LogCode.TASK_RESTARTED,
                "honeyhive: the %s failed and is started again: %r",
                name,
                error,
                about=name,
            )
            await _pause()


async def _pause() -> None:
    try:
        await asyncio.sleep(RESTART_AFTER_S)
    except asyncio.CancelledError:
        pass  # the next round sees whether it was meant


def run_until_done(
    loop: asyncio.AbstractEventLoop, work: asyncio.Task[None], on_interrupted: Callable[[], None]
) -> None:
    """Run the loop until `work` has ended, whatever is raised in between; then raise what `work` raised.

    SystemExit and KeyboardInterrupt leave a loop wherever they are raised on it, and so does what another thread raises
    in this one. The loop can be run again. `on_interrupted` is called before that. The callback that was about to run
    may be lost.
    """
    while not work.done():
        try:
            loop.run_until_complete(work)
        except BaseException as error:
            if work.done() or loop.is_running():  # running: interrupted while it was leaving, it cannot be run again
                raise
            warn(
                LogCode.LOOP_INTERRUPTED,
                "honeyhive: %s interrupted this package's event loop, which goes on",
                class_name(error),
            )
            on_interrupted()


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


async def addresses_of(host: str, port: int, family: int = 0) -> List[Any]:
    """What `socket.getaddrinfo` finds. Raises `OSError` where there is no address.

    In a daemon thread: asyncio's own are joined at exit, and a dead network holds them.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[List[Any]] = loop.create_future()

    def settle(found: List[Any], failure: Optional[OSError]) -> None:
        if answer.done():  # the caller has given up
            return
        if failure is None:
            answer.set_result(found)
        else:
            answer.set_exception(failure)

    def look_up() -> None:
        found, failure = [], None
        try:
            found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        except OSError as caught:
            failure = caught
        with contextlib.suppress(RuntimeError):  # the loop has closed
            loop.call_soon_threadsafe(settle, found, failure)

    threading.Thread(target=look_up, name="honeyhive-dns", daemon=True).start()
    return await answer
