"""What this package does when the process forks, in one order. The only `os.register_at_fork` of the package.

A fork copies the memory and one thread. A lock that another thread holds at that moment stays held in the child for
ever, and what the other threads were doing stays half done. So some parts let their threads finish before the fork, and
every part gets new locks in the child: an object that belongs to a runtime is made anew with it, and a module has a
`ForkSafeLock`.
"""

from __future__ import annotations

import logging
import os
import threading
from enum import Enum
from types import TracebackType
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Type

Handler = Callable[[], None]


class Part(Enum):
    """What has to do something at a fork."""

    LOCKS = "the locks of modules"
    LOG = "what was logged lately"
    SQLITE = "the gate that keeps a fork out while a thread is inside SQLite"
    RUNTIMES = "the runtimes, whose thread and files stay with the parent"
    LITELLM = "LiteLLM's logging threads"


BEFORE: Tuple[Part, ...] = (Part.SQLITE,)

AFTER_IN_PARENT: Tuple[Part, ...] = (Part.SQLITE,)

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
                logging.getLogger("honeyhive_litellm").exception("honeyhive: a fault at a fork, in %s", part.value)


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


on_fork(Part.LOCKS, after_in_child=ForkSafeLock.renew_all)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _run(BEFORE, _before),
        after_in_parent=lambda: _run(AFTER_IN_PARENT, _after_in_parent),
        after_in_child=lambda: _run(AFTER_IN_CHILD, _after_in_child),
    )
