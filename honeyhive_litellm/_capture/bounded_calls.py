"""Calls of a user's function that may never return: on a thread of their own, with a limit of time."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any, Callable, Dict, List, Optional

from honeyhive_litellm._foreign import class_name
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._privacy.redactor import FailedCallError

LIMIT_S = 5.0
"""How long a call may take. The background thread, and with it all commits, waits so long for one that hangs."""

EXIT_LIMIT_S = 0.5
"""The same once the process ends: what is in the queue must be on disk within `shutdown_timeout`."""

LATE_S = 1.0
"""While a call has been running for so long, no other thread begins one: it would most likely hang as well."""

SUSPENDED_S = 60.0
"""How long the functions are not called after one of them did not return."""

MAX_OVERDUE = 8
"""With so many calls that never returned, no further one is begun: each holds a thread."""

_LOOK_EVERY_S = 0.1


class BoundedCalls:
    """Calls functions for one recorder, on any thread. Raises FailedCallError if one raises or does not return."""

    def __init__(self) -> None:
        self._limit_s = LIMIT_S
        self._suspended_until = 0.0
        self._idle: List[_Worker] = []
        self._begun: Dict[_Worker, float] = {}
        """When the running calls began, by worker."""
        self._overdue: List[_Worker] = []
        self._is_closed = False

    def hurry(self) -> None:
        """Wait no longer than EXIT_LIMIT_S from now on, for running calls as well."""
        self._limit_s = EXIT_LIMIT_S

    def close(self) -> None:
        """End the threads that wait for calls. A call that comes later ends its own."""
        self._is_closed = True
        self._retire_idle()

    def _retire_idle(self) -> None:
        try:
            while True:
                self._idle.pop().retire()
        except IndexError:
            pass

    def call(self, function: Callable[[Any], Any], argument: object) -> object:
        """What `function(argument)` returns, in time."""
        self._refuse_if_suspended()
        worker = self._take_worker()
        begun = self._begun[worker] = time.monotonic()
        try:
            task = worker.begin(function, argument)
            while not task.has_ended(_LOOK_EVERY_S):
                if time.monotonic() - begun >= self._limit_s:
                    self._suspend(worker)
                    raise FailedCallError("TimeoutError")
            self._idle.append(worker)
            if self._is_closed:
                self._retire_idle()
        except BaseException:
            worker.retire()
            raise
        finally:
            del self._begun[worker]
        if task.error is not None:
            raise FailedCallError(task.error)
        return task.result

    def _refuse_if_suspended(self) -> None:
        now = time.monotonic()
        if now < self._suspended_until or any(now - begun > LATE_S for begun in list(self._begun.values())):
            raise FailedCallError("TimeoutError")
        self._overdue = [worker for worker in self._overdue if worker.is_alive]
        if len(self._overdue) >= MAX_OVERDUE:
            raise FailedCallError("TimeoutError")

    def _take_worker(self) -> _Worker:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        try:
            return _Worker()
        except RuntimeError:  # the interpreter is shutting down and starts no more threads
            raise FailedCallError("TimeoutError") from None

    def _suspend(self, worker: _Worker) -> None:
        self._suspended_until = time.monotonic() + SUSPENDED_S
        self._overdue.append(worker)
        warn(
            LogCode.REDACT_OVERDUE,
            "honeyhive: a function of the option redact has not returned within %g s. For %g s no function is called, "
            "and events are recorded without their content",
            self._limit_s,
            SUSPENDED_S,
        )


class _Task:
    """One call. `error` is the name of the class that the function raised, whatever it was."""

    def __init__(self, function: Callable[[Any], Any], argument: object) -> None:
        self.result: object = None
        self.error: Optional[str] = None
        self._function = function
        self._argument = argument
        self._ended = threading.Lock()  # half as expensive as an event
        self._ended.acquire()

    def run(self) -> None:
        try:
            self.result = self._function(self._argument)
        except BaseException as error:
            self.error = class_name(error)
        self._ended.release()

    def has_ended(self, timeout_s: float) -> bool:
        """Wait for the end; False if it has not come in this time."""
        return self._ended.acquire(timeout=timeout_s)


class _Worker:
    """A thread that runs one task after the other. A daemon: no exit waits for a function that hangs."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Optional[_Task]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="honeyhive-redact", daemon=True)
        self._thread.start()

    def begin(self, function: Callable[[Any], Any], argument: object) -> _Task:
        task = _Task(function, argument)
        self._tasks.put(task)
        return task

    def retire(self) -> None:
        """End the thread once its task returns."""
        self._tasks.put(None)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _work(self) -> None:
        task = self._tasks.get()
        while task is not None:
            task.run()
            del task  # the content must not live until the next call
            task = self._tasks.get()
