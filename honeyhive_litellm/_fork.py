"""What this package does when the process forks, in one order. The only `os.register_at_fork` of the package.

A fork copies the memory and one thread. A lock that another thread holds at that moment stays held in the child for
ever, and what the other threads were doing stays half done. So some parts let their threads finish before the fork, and
every part gets new locks in the child.

What belongs to a runtime needs nothing here: the child makes the runtime anew, with all that it holds. What a module
holds needs a `Part`, and its lock is a `ForkSafeLock`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from enum import Enum
from types import TracebackType
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple, Type

from ._foreign import contained
from ._log_codes import LogCode

# Not through `_log`, which imports this module.
_log = logging.getLogger("honeyhive_litellm")

Handler = Callable[[], None]


class Part(Enum):
    """What has to do something at a fork."""

    LOCKS = "the locks of modules"
    LOG = "what was logged lately"
    SQLITE = "the gate that keeps a fork out while a thread is inside SQLite"
    RUNTIMES = "the runtimes, whose thread and files stay with the parent"
    LITELLM = "the gate that keeps a fork out while LiteLLM's logging threads work, and the threads themselves"


BEFORE: Tuple[Part, ...] = (
    Part.LITELLM,  # LiteLLM's threads call us: while they finish, ours must go on
    Part.SQLITE,
)

AFTER_IN_PARENT: Tuple[Part, ...] = (Part.SQLITE, Part.LITELLM)

AFTER_IN_CHILD: Tuple[Part, ...] = (
    Part.LOCKS,
    Part.LOG,  # the others may write a warning
    Part.SQLITE,  # a runtime may open a file at once
    Part.RUNTIMES,  # before anything can reach one
    Part.LITELLM,  # from now on callbacks come
)

_before: Dict[Part, Handler] = {}
_after_in_parent: Dict[Part, Handler] = {}
_after_in_child: Dict[Part, Handler] = {}


def on_fork(
    part: Part,
    *,
    before: Optional[Handler] = None,
    after_in_parent: Optional[Handler] = None,
    after_in_child: Optional[Handler] = None,
) -> None:
    """Have these run at every fork, when it is the turn of `part`. Once for each part, while its module is imported."""
    for order, handlers, handler in (
        (BEFORE, _before, before),
        (AFTER_IN_PARENT, _after_in_parent, after_in_parent),
        (AFTER_IN_CHILD, _after_in_child, after_in_child),
    ):
        if handler is not None:
            if part not in order or part in handlers:
                raise ValueError(f"{part} has no turn here, or has one already")
            handlers[part] = handler


def _run(order: Sequence[Part], handlers: Dict[Part, Handler]) -> None:
    for part in order:
        handler = handlers.get(part)
        if handler is not None:
            try:
                handler()
            except Exception:  # the other parts must have their turn
                with contained():
                    _log.exception(
                        "honeyhive: a fault at a fork, in %s",
                        part.value,
                        extra={"event_code": LogCode.FORK_HANDLER_FAILED.code},
                    )


class ForkSafeLock:
    """A lock, for a module to keep, that is free in a forked child although another thread held it in the parent."""

    _all: List[ForkSafeLock] = []  # noqa: RUF012 - every lock of the process, on purpose

    def __init__(self) -> None:
        self.renew()
        self._all.append(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._lock.release()

    @classmethod
    def renew_all(cls) -> None:
        """In a forked child: no other thread is there to release them."""
        for lock in cls._all:
            lock.renew()


class ForkGate:
    """Keeps a fork waiting while a thread is inside: `with gate: connection.execute(…)`.

    A fork waits until all threads have left, but for the forking one itself, and for `wait_s` at most. It keeps the
    others out until it is done. A thread that is inside must not enter again. `obstacle` is for the warning when the
    time is up. A condition variable would cost more than twice as much as this lock and set.
    """

    def __init__(self, wait_s: float, obstacle: str) -> None:
        self._wait_s = wait_s
        self._obstacle = obstacle
        self.reset_in_child()

    def __enter__(self) -> None:
        with self._entrance:
            self._inside.add(threading.get_ident())

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._inside.discard(threading.get_ident())
        if self._is_closed:
            self._one_left.set()

    def close(self) -> None:
        """Before a fork: keep threads from entering, and wait until all that are inside have left."""
        self._entrance.acquire()
        self._is_closed = True  # from here on each leaving thread sets the event; one that left before is not inside
        ourselves = {threading.get_ident()}
        deadline = time.monotonic() + self._wait_s
        while True:
            self._one_left.clear()
            if self._inside <= ourselves:
                return
            if not self._one_left.wait(max(0.0, deadline - time.monotonic())):
                with contained():
                    _log.warning(
                        "honeyhive: this process forked although %s for %g s; calls of the child may not be recorded",
                        self._obstacle,
                        self._wait_s,
                        extra={"event_code": LogCode.FORK_WHILE_BUSY.code},
                    )
                return

    def reopen(self) -> None:
        """After a fork, in the parent."""
        self._is_closed = False
        self._entrance.release()

    def reset_in_child(self) -> None:
        """After a fork, in the child: no other thread is inside."""
        self._entrance = threading.Lock()
        self._inside: Set[int] = set()
        self._is_closed = False
        self._one_left = threading.Event()


on_fork(Part.LOCKS, after_in_child=ForkSafeLock.renew_all)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _run(BEFORE, _before),
        after_in_parent=lambda: _run(AFTER_IN_PARENT, _after_in_parent),
        after_in_child=lambda: _run(AFTER_IN_CHILD, _after_in_child),
    )
