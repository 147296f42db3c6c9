"""All runtimes of the process: how they are made, flushed, shut down at an exit, and forgotten in a forked child.

A process ends in one of four ways. Each calls `shutdown_all`:

* The application calls `honeyhive_litellm.shutdown()` (REQUESTED). A runtime with calls in flight goes on until these
  have ended, like one that `init` replaced by another, or until the process ends in another way.
* LiteLLM's Proxy ends its application (REQUESTED, from `_instrumentation.proxy_logger`).
* The interpreter exits (ATEXIT). First it joins the threads of `concurrent.futures`, in which LiteLLM logs sync calls;
  on 3.8 it does so after `atexit`, and in a forked child, where they are daemon threads, not at all. Then it runs the
  `atexit` handlers, the newest first: those that the application registered after `init`, which may still make calls;
  then ours; then LiteLLM's, which reports the last async calls on a loop of its own. What those report is written by
  `LateWriter`.
* A child of multiprocessing ends (CHILD_EXIT). It runs the finalizers of `multiprocessing.util`, those of a higher
  priority first; ours has the priority CHILD_EXIT_PRIORITY. Then a forked child ends with `os._exit`, without `atexit`;
  a spawned one is an interpreter that exits, where `shutdown_all` finds its runtimes closed. From Python 3.13 on the
  finalizers are an `atexit` handler, which a forked child runs, too: in a spawned child ours (ATEXIT) comes before it.

`shutdown_all` does the same in each case, in the order of its lines: wait for LiteLLM's callbacks; take our loggers out
of LiteLLM's lists; then, runtime by runtime, settle what is held, deliver, and close the files.
"""

from __future__ import annotations

import atexit
import itertools
import operator
import sys
import time
from dataclasses import dataclass, field, replace
from typing import Callable, List, Optional, Sequence

from honeyhive_litellm._capture.outcomes import LiteLLMFunctions
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._fork import ForkSafeLock, Part, on_fork
from honeyhive_litellm._mapping.reading import or_default
from honeyhive_litellm._stats import Stats, sum_of

from .metric_table import Reading
from .pipeline import CLOSING_S
from .runtime import CALLBACKS_SHARE, Runtime, ShutdownReason

CHILD_EXIT_PRIORITY = -100
"""Below the application's finalizers (usually 0 and above), which may still make calls."""

TOKEN_KEY = "honeyhive_event_id"  # noqa: S105 - no password


@dataclass
class _Retired:
    """The runtimes that were retired since the last shutdown, for the numbers."""

    closing: List[Runtime] = field(default_factory=list)
    closed: Stats = field(default_factory=Stats)
    """The numbers of those that are closed, as one."""


_runtimes: List[Runtime] = []
_made = itertools.count()
_retired = _Retired()
"""A new one after a shutdown. A runtime that is closed late still belongs to the one of before."""
_lock = ForkSafeLock()
"""Several runtimes may close at once, and numbers may be read meanwhile: each runtime counts once."""


def runtime_for(settings: Settings, litellm: LiteLLMFunctions) -> Runtime:
    """The process's runtime for these settings; a new one if there is none, or it is closed or replaced."""
    for runtime in _runtimes:
        if not _is_leaving(runtime) and or_default(False, operator.eq, runtime.settings, settings):
            return runtime
    global _retired
    if all(runtime.is_closed for runtime in _runtimes):
        _retired = _Retired()  # after a shutdown the numbers begin anew
    _runtimes[:] = [runtime for runtime in _runtimes if not runtime.is_forgettable]
    # Runtimes with different settings each record a call, so each needs a token of its own in the call's details.
    number = next(_made)
    token_key = f"{TOKEN_KEY}_{number}" if number else TOKEN_KEY
    runtime = Runtime(settings, litellm, token_key=token_key, on_thread_started=_shut_down_at_child_exit)
    _runtimes.append(runtime)
    return runtime


def retire(runtime: Runtime, on_calls_ended: Callable[[], None]) -> None:
    """Close `runtime`, whose recorder's tenure has ended, once its calls have ended and are delivered.

    `on_calls_ended` runs before that, on a thread of its own.
    """
    retired = _retired

    def close() -> None:
        on_calls_ended()
        with _lock:
            retired.closing.append(runtime)
        runtime.shutdown(runtime.settings.shutdown_timeout)
        with _lock:
            retired.closing.remove(runtime)
            retired.closed = sum_of([retired.closed, _final_stats(runtime)])
            if runtime in _runtimes:
                _runtimes.remove(runtime)

    runtime.retire(close)


def flush_all(timeout_s: float) -> int:
    """Flush the current runtimes within this time; how many events are undelivered."""
    deadline = time.monotonic() + timeout_s
    return sum(runtime.flush(max(0.0, deadline - time.monotonic())) for runtime in _current())


def shutdown_all(
    timeout_s: Optional[float] = None,
    reason: ShutdownReason = ShutdownReason.REQUESTED,
    deregister: Optional[Callable[[], Sequence[Runtime]]] = None,
) -> int:
    """Shut every runtime down, each within `timeout_s` or its own `shutdown_timeout`; how many events are left.

    `deregister` takes our loggers out of LiteLLM's lists and returns the runtimes that go on, since they have calls in
    flight. It runs after the wait for callbacks, since LiteLLM calls back only those that are in its lists, also for
    calls that have just ended.
    """
    began = time.monotonic()
    if reason is not ShutdownReason.REQUESTED and all(_is_leaving(runtime) for runtime in _runtimes):
        timeout_s = CLOSING_S  # the application has called `shutdown`, which took its time

    def left_s(runtime: Runtime) -> float:
        timeout = runtime.settings.shutdown_timeout if timeout_s is None else timeout_s
        return max(0.0, began + timeout - time.monotonic())

    current = _current()
    if reason is ShutdownReason.REQUESTED:
        for runtime in current:
            runtime.await_callbacks(time.monotonic() + left_s(runtime) * CALLBACKS_SHARE)
            runtime.recorder.settle_all_held()  # a call that was answered is not in flight any more
    going_on = deregister() if deregister is not None else ()
    for runtime in _runtimes[:]:  # one whose calls have ended removes itself
        if runtime in going_on:
            runtime.deliver(time.monotonic() + left_s(runtime))
        else:
            runtime.shutdown(left_s(runtime), reason)
    return sum(runtime.stats().pending for runtime in current)


def stats_of_all() -> Stats:
    """The numbers of the current runtimes, added up."""
    with _lock:
        retired = _retired
        current = [runtime for runtime in _current() if runtime not in retired.closing]
        return sum_of([retired.closed, *map(_final_stats, retired.closing), *(runtime.stats() for runtime in current)])


def reading_of_all() -> Reading:
    """The numbers of the current runtimes for the metrics, of one moment, and with destinations those of each one."""
    current = _current()
    stats = stats_of_all()
    spools = [runtime.spool_readings() for runtime in current]
    reading = _with_spools(Reading.of_stats(stats), [spool for found in spools for spool in found.values()])
    each = {
        name: _with_spools(Reading.of_stats(numbers), [found[name] for found in spools if name in found])
        for name, numbers in stats.destinations.items()
    }
    return replace(reading, destinations=each)


def _with_spools(reading: Reading, spools: Sequence[Reading]) -> Reading:
    if not spools:
        return reading
    ages = [spool.oldest_pending_age_s for spool in spools if spool.oldest_pending_age_s is not None]
    free = [spool.spool_free for spool in spools if spool.spool_free is not None]
    return replace(
        reading,
        spool_bytes=sum(spool.spool_bytes or 0 for spool in spools),
        spool_capacity=sum(spool.spool_capacity or 0 for spool in spools),
        spool_free=min(free, default=None),
        oldest_pending_age_s=max(ages, default=None),
        is_circuit_open=any(spool.is_circuit_open for spool in spools),
    )


def _final_stats(runtime: Runtime) -> Stats:
    """Of a runtime that was replaced. What it found locked, its successor finds as well, or has the key."""
    return runtime.stats().without_locked()


def _current() -> List[Runtime]:
    """The runtimes that are not closed; after a shutdown the last one, whose numbers are final.

    What an earlier one left on disk no longer counts as its own: whichever process adopts it counts it.
    """
    return [runtime for runtime in _runtimes if not runtime.is_closed] or _runtimes[-1:]


def _is_leaving(runtime: Runtime) -> bool:
    return runtime.is_closed or runtime.recorder.tenure.has_ended


def _shut_down_at_child_exit() -> None:
    """Register the finalizer of a child of multiprocessing.

    multiprocessing forgets finalizers that were registered before the fork, so each child registers its own, when it
    starts its runtime's thread.
    """
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        reason = {"reason": ShutdownReason.CHILD_EXIT}
        util.Finalize(None, shutdown_all, kwargs=reason, exitpriority=CHILD_EXIT_PRIORITY)


def _forget_all_inherited() -> None:
    global _retired
    _retired = _Retired()
    for runtime in _runtimes[:]:  # those that were replaced remove themselves
        runtime.forget_inherited()


atexit.register(shutdown_all, reason=ShutdownReason.ATEXIT)
on_fork(Part.RUNTIMES, after_in_child=_forget_all_inherited)
