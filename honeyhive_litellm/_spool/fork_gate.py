"""Keeps a fork from happening while one of our threads is inside SQLite."""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType
from typing import Deque, Optional, Type

from honeyhive_litellm._fork import Part, on_fork
from honeyhive_litellm._log import warn

_FORK_WAIT_S = 5.0
"""How long a fork waits for SQLite at most: a disk that hangs must not hang the application as well.

Usually the wait is microseconds. But SQLite closes files under a mutex of the whole process, and closing a removed file
takes a second on a busy disk.
"""


class ForkGate:
    """A gate around every SQLite call of a thread of ours: `with gate: connection.execute(…)`.

    A fork copies SQLite's process-wide mutexes and its table of file locks as they are. If another thread is inside
    SQLite at that moment, the child hangs at its first statement and loses every event it records. So a fork waits
    until all threads have left, and keeps them out until it is done.

    One thread must not enter twice, nor wait for something else inside. A condition variable would cost more than twice
    as much as this lock and deque.
    """

    def __init__(self) -> None:
        self.reset_in_child()

    def __enter__(self) -> None:
        with self._entrance:
            self._inside.append(None)

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._inside.pop()
        if self._is_closed:
            self._one_left.set()

    def close(self) -> None:
        """Before a fork: keep threads from entering, and wait until all that are inside have left."""
        self._entrance.acquire()
        self._is_closed = True  # from here on each leaving thread sets the event; one that left before is not inside
        deadline = time.monotonic() + _FORK_WAIT_S
        while True:
            self._one_left.clear()
            if not self._inside:
                return
            if not self._one_left.wait(max(0.0, deadline - time.monotonic())):
                warn(
                    "fork",
                    "honeyhive: this process forked although the disk had not answered for %s s; the child may be "
                    "unable to write its events",
                    _FORK_WAIT_S,
                )
                return

    def reopen(self) -> None:
        """After a fork, in the parent."""
        self._is_closed = False
        self._entrance.release()

    def reset_in_child(self) -> None:
        """After a fork, in the child: its only thread is not inside."""
        self._entrance = threading.Lock()
        self._inside: Deque[None] = deque()
        self._is_closed = False
        self._one_left = threading.Event()


gate = ForkGate()
on_fork(Part.SQLITE, before=gate.close, after_in_parent=gate.reopen, after_in_child=gate.reset_in_child)
