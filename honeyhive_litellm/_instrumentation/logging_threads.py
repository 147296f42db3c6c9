"""LiteLLM's logging threads: what is submitted to them, and what becomes of them at a fork.

LiteLLM reports a sync call from a thread of a pool, after the call has returned. Such a thread does not survive a fork,
and whatever lock it holds at that moment, Python's import locks among them, stays held in the child for ever. So

* a fork waits, for a short time, until these threads are idle;
* a forked child gets new threads, for which its exit does not wait: one of them may wait for such a lock for ever;
* a sync call's response is noted when LiteLLM submits it, on the caller's thread: its outcome is right without the
  callback. There the call waits until its start is on disk, too.
"""

from __future__ import annotations

import functools
import queue
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, List, Optional, Tuple

from honeyhive_litellm._capture.opener import FIRST_RECORDER
from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._fork import ForkGate, Part, on_fork

from .patches.notify import guarded, notify, notify_active, wait_for_start

_FORK_WAIT_S = 2.0
"""How long a fork waits for these threads at most: another logger may wait for a server that hangs."""

# LiteLLM has one pool; older versions (1.53) have one for calls and another for streams.
_POOL_MODULES = ("litellm_core_utils.thread_pool_executor", "utils", "litellm_core_utils.streaming_handler")

_gate = ForkGate(_FORK_WAIT_S, "LiteLLM's logging threads had not finished")
_patched: List[LoggingPool] = []


def logging_pools() -> List[ThreadPoolExecutor]:
    """LiteLLM's pools, each once; empty for a version that logs in another way."""
    modules = [sys.modules.get(f"litellm.{name}") for name in _POOL_MODULES]
    pools = {id(pool): pool for pool in (getattr(module, "executor", None) for module in modules)}
    return [pool for pool in pools.values() if isinstance(pool, ThreadPoolExecutor)]


def patch_logging_pools() -> None:
    """Take over what is submitted to LiteLLM's pools. Once a process; a fork of it gets pools that work."""
    _patched.extend(LoggingPool(pool) for pool in logging_pools())
    on_fork(Part.LITELLM, before=_gate.close, after_in_parent=_gate.reopen, after_in_child=_start_afresh)


def _start_afresh() -> None:
    _gate.reset_in_child()
    for pool in _patched:
        pool.replace_threads()


class LoggingPool:
    """Replaces `submit` of a pool. The pool stays the same object: LiteLLM's modules have imported it by name."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._submit: Callable[..., Future[Any]] = pool.submit
        if not all(thread.is_alive() for thread in pool._threads):  # noqa: SLF001 - there is no public list
            self.replace_threads()  # this process was forked before the patch
        setattr(pool, "submit", self.submit)  # noqa: B010 - mypy refuses to assign to a method

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """What LiteLLM calls in the place of the pool's own method."""
        guarded(_report_response, (function, *args), kwargs)
        return self._submit(_in_gate, function, *args, **kwargs)

    def replace_threads(self) -> None:
        """In a forked child: the pool's own threads are the parent's, as are the tasks in its queue."""
        state = vars(self._pool)
        self._submit = DaemonThreads(state["_max_workers"], state.get("_max_pending_tasks")).submit


class DaemonThreads:
    """Runs functions on threads, at most `size`, for which the interpreter's exit does not wait."""

    def __init__(self, size: int, max_pending: Optional[int] = None) -> None:
        """With more than `max_pending` functions in the queue, further ones are dropped, as LiteLLM's pool does."""
        self._size = size
        self._max_pending = max_pending
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._count = 0
        self._lock = threading.Lock()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `function` on one of the threads; its result, or None of it once the interpreter starts no threads."""
        future: Future[Any] = Future()
        if self._max_pending is not None and self._tasks.qsize() >= self._max_pending:
            future.cancel()
            return future
        self._tasks.put(functools.partial(_run, future, functools.partial(function, *args, **kwargs)))
        if not self._idle.acquire(blocking=False):
            self._add_thread()
        return future

    def _add_thread(self) -> None:
        with self._lock:
            if self._count < self._size:
                thread = threading.Thread(target=self._work, name=f"litellm-logging_{self._count}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    return  # the interpreter is shutting down
                self._count += 1

    def _work(self) -> None:
        while True:
            self._tasks.get()()
            self._idle.release()


def _run(future: Future[Any], function: Callable[[], Any]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)


def _in_gate(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with _gate:
        return function(*args, **kwargs)


def _report_response(call: Tuple[Any, ...], kwargs: Any) -> None:
    """Report the response of a sync call, if LiteLLM submits one: `success_handler`, perhaps in a context, and it."""
    for position, function in enumerate(call[:2]):
        if getattr(function, "__name__", None) == "success_handler" and "for_async_request" not in kwargs:
            arguments = call[position + 1 :]
            response = arguments[0] if arguments else kwargs.get("result")
            is_from_cache = kwargs.get("cache_hit") or (len(arguments) > 3 and arguments[3])
            call_details = function.__self__.model_call_details
            if is_from_cache:
                notify_active(Recorder.on_cache_hit, call_details, response, None)
            else:
                if FIRST_RECORDER not in call_details:
                    notify_active(Recorder.on_unstarted, call_details, response)
                notify(Recorder.on_response, call_details, response, None)
                wait_for_start(call_details)
