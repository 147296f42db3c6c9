"""The thread and event loop that a loopback server of this package runs on."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Optional, Type, TypeVar

_START_TIMEOUT_S = 10.0
_ServerThreadT = TypeVar("_ServerThreadT", bound="ServerThread")


class ServerThread:
    """A context manager: inside `with` a server runs in a daemon thread, on an event loop of its own.

    A subclass writes `_serve`, which listens, calls `_ready`, and waits for `_closing`.
    """

    _loop: asyncio.AbstractEventLoop
    _closing: asyncio.Event

    def __init__(self) -> None:
        self._thread: Optional[threading.Thread] = None
        self._started = threading.Event()
        self._failure: Optional[BaseException] = None

    def __enter__(self: _ServerThreadT) -> _ServerThreadT:
        name = type(self).__name__
        if self._thread is not None:
            raise RuntimeError(f"this {name} was started already; make a new one")
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        if not self._started.wait(_START_TIMEOUT_S):
            raise RuntimeError(f"the {name} did not start within {_START_TIMEOUT_S:.0f} s")
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop every connection, stop listening and end the thread. A second call does nothing."""
        if self._thread is None or not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._serve_until_closed())
        except BaseException as error:  # raised again by `__enter__` or `close`, on the caller's thread
            self._failure = error
        finally:
            self._started.set()

    async def _serve_until_closed(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        await self._serve()

    def _ready(self) -> None:
        """Let `__enter__` return: the server listens."""
        self._started.set()

    async def _serve(self) -> None:
        raise NotImplementedError
