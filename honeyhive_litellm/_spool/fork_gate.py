"""Keeps a fork waiting while a thread of ours is inside SQLite."""

from __future__ import annotations

from honeyhive_litellm._fork import ForkGate, Part, on_fork

_FORK_WAIT_S = 5.0
"""How long a fork waits for SQLite at most: a disk that hangs must not hang the application as well.

Usually the wait is microseconds. But SQLite closes files under a mutex of the whole process, and closing a removed file
takes a second on a busy disk.
"""

gate = ForkGate(_FORK_WAIT_S, "the disk had not answered")
"""Around every SQLite call of a thread of ours.

A fork copies SQLite's process-wide mutexes and its table of file locks as they are. If another thread is inside SQLite
at that moment, the child hangs at its first statement and loses every event it records. A thread must not wait for
anything but the disk inside.
"""

on_fork(Part.SQLITE, before=gate.close, after_in_parent=gate.reopen, after_in_child=gate.reset_in_child)
