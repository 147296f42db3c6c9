"""The process's one background thread with its one loop: it owns every file, socket and task of this package.

It starts at the first event, never at import or `init`, so that a `fork` in between copies nothing alive. It serves
callers on any thread, on any number of loops, or on none. It is a daemon, and so are aiosqlite's threads: the
interpreter's exit waits for our `atexit` handler, which is bounded in time, and for nothing else.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import ctypes
import sys
import threading
import time
from enum import Enum
from typing import Awaitable, Callable, List, NamedTuple, Optional, Sequence

from honeyhive_litellm._aio import run_to_completion
from honeyhive_litellm._capture.outcomes import LiteLLMFunctions
from honeyhive_litellm._capture.recorder import HOLD_S, Recorder
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._delivery.flusher import Flusher
from honeyhive_litellm._delivery.sink import Sink
from honeyhive_litellm._delivery.sinks.factory import sink_for
from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._fork import Part, on_fork
from honeyhive_litellm._log import announce, warn
from honeyhive_litellm._spool.heartbeat import Publisher
from honeyhive_litellm._spool.late_writer import LateWriter
from honeyhive_litellm._spool.queue import RecordQueue
from honeyhive_litellm._spool.record import EVENT, Entry, Record, Row
from honeyhive_litellm._spool.spool import Spool
from honeyhive_litellm._spool.writer import COMMIT_EVERY_S, Writer
from honeyhive_litellm._stats import Counters, Stats, sum_of

from .drop_report import DropReport
from .pipeline import limits_of

ADOPT_EVERY_S = 5.0
ADOPT_NEXT_S = 0.05
SWEEP_EVERY_S = 0.5

STRICT_PATIENCE_S = 10.0
"""How long a strict call waits for a disk that hangs, before it returns all the same."""

HAND_OFF_EVERY_S = 1.0
"""How long events stay with a process that only writes, before they are there for another one to deliver."""

CALLBACK_GRACE_S = 2.0
"""How long `flush` waits for LiteLLM to tell of calls that have just ended."""

_CALLBACKS_SHARE = 0.5
"""At most this part of a flush's time goes by with waiting for LiteLLM, whose word may never come: what was seen of the
call is delivered then, and that takes time as well."""

_AFTER_OTHERS = -100
"""multiprocessing calls handlers of a higher priority first; they may still make calls."""

_CLOSING_S = 0.5
"""The part of a shutdown's time that is kept for closing the files."""


class State(Enum):
    """A runtime goes through these once, in order."""

    CREATED = "created"
    RUNNING = "running"
    CLOSED = "closed"


class ShutdownReason(Enum):
    """Why a runtime is shut down, which tells who may still have calls to report."""

    REQUESTED = "requested"
    """By the application, in its midst: LiteLLM's threads, and its queue on a loop."""
    ATEXIT = "atexit"
    """By `atexit`: nobody. LiteLLM's threads have ended, but on Python 3.8 the interpreter waits for them later."""
    CHILD_EXIT = "child exit"
    """At the end of a child of multiprocessing: LiteLLM's threads; the loops have ended."""


class Pipeline(NamedTuple):
    """What lives on the loop."""

    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event
    spool: Spool
    writer: Writer
    flusher: Flusher
    sink: Sink


class Runtime:
    """Everything behind one `Settings`: recorder, queue, spool, flusher, and the thread that runs them."""

    def __init__(self, settings: Settings, litellm: LiteLLMFunctions) -> None:
        self.settings = settings
        self._litellm = litellm
        self._number = len(_runtimes)
        self._reset()
        _runtimes.append(self)

    def _reset(self) -> None:
        # Runtimes with settings of their own each record the call, so each leaves a token of its own in its details.
        key = f"honeyhive_event_id_{self._number}" if self._number else "honeyhive_event_id"
        self.recorder = Recorder(self.settings, self.submit, self._litellm, key)
        self._lock = threading.Lock()
        self._state = State.CREATED
        self._counters = Counters()
        self._queue = RecordQueue(self._counters)
        self._thread: Optional[threading.Thread] = None
        self._ready = threading.Event()
        self._first_scan = threading.Event()
        self._pipeline: Optional[Pipeline] = None
        self._late: Optional[LateWriter] = None
        self._deadline = 0.0

    # ---- the callers' side

    def submit(self, entry: Entry) -> None:
        """Take a record in. Never raises, and never waits but for the disk once the runtime is closed."""
        if self._state is State.CREATED:
            self._start()
        if entry.kind == EVENT:
            self._counters.accept(1)
        if self._queue.put(entry):
            return
        if self._queue.is_closed:
            record = self._queue.encode(entry)
            if record is not None:
                self._submit_late(record)
        elif entry.kind == EVENT:
            warn("memory", "honeyhive: the disk is too slow for the calls, events are dropped")
            self._counters.lose("memory", 1)

    def _submit_late(self, record: Record) -> None:
        try:
            with self._lock:
                if self._late is None:
                    if self._thread is not None:
                        self._thread.join(_CLOSING_S)  # it is about to let go of the lease
                    self._late = LateWriter(self.settings.spool_path, self._pipeline and self._pipeline.spool.owner)
            self._late.append(record)
        except SpoolError as error:
            warn("late", "honeyhive: an event that came after shutdown is lost: %s", error)
            if record.kind == EVENT:
                self._counters.lose("late", 1)
        else:
            if record.kind == EVENT:
                self._counters.commit(1)

    def _start(self) -> None:
        """Start the thread, once."""
        with self._lock:
            if self._state is not State.CREATED:
                return
            self._thread = threading.Thread(target=self._main, name="honeyhive-litellm", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is shutting down and starts no more threads
                self._thread = None
                self._state = State.CLOSED
                self._queue.close()
            else:
                self._state = State.RUNNING
                _end_with_multiprocessing()

    @property
    def is_closed(self) -> bool:
        return self._state is State.CLOSED

    async def committed(self) -> None:
        """Wait, on any loop, until all that was put in so far is committed. Not for ever: see STRICT_PATIENCE_S."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            try:
                loop.call_soon_threadsafe(done.set_result, None)
            except RuntimeError:
                pass  # the caller's loop is closed: nobody waits any more

        self._queue.when_committed(tell)
        await asyncio.wait([done], timeout=STRICT_PATIENCE_S)
        if not done.done():
            warn("strict", "honeyhive: a strict call was not on disk after %g s and returns", STRICT_PATIENCE_S)

    def stats(self) -> Stats:
        """A snapshot of this process's numbers."""
        return self._counters.snapshot(self.recorder.in_flight, self.recorder.sampled)

    def flush(self, timeout_s: float) -> int:
        """Deliver what was recorded so far; how many events are undelivered when it is done or the time is up.

        What dead processes left in the spool is part of it, so `init` and `flush` together drain a spool. With the
        setting `flush=False` it hands over what was recorded so far, all of which counts as undelivered.
        A call that has just returned may not have been told to us by LiteLLM, which calls back late: that is waited
        for briefly, and then what was seen of the call is taken. Blocks; not for use on an event loop.
        """
        deadline = time.monotonic() + timeout_s
        self.await_callbacks(time.monotonic() + timeout_s * _CALLBACKS_SHARE)
        self.recorder.settle_all_held()
        self._start()
        pipeline = self._running_pipeline(deadline)
        if pipeline is not None and not self.settings.flush:
            handed_over = asyncio.run_coroutine_threadsafe(self._hand_off(pipeline), pipeline.loop)
            concurrent.futures.wait([handed_over], max(0.0, deadline - time.monotonic()))
        elif pipeline is not None:
            pipeline.loop.call_soon_threadsafe(pipeline.flusher.set_urgent, True)
            self._first_scan.wait(max(0.0, deadline - time.monotonic()))
            self._counters.wait_until_settled(max(0.0, deadline - time.monotonic()))
            pipeline.loop.call_soon_threadsafe(pipeline.flusher.set_urgent, False)
        return self._counters.snapshot().pending

    def await_callbacks(self, deadline: float) -> None:
        """Wait until LiteLLM has told of the calls that have just ended, briefly and until `deadline` at most."""
        if self._state is not State.RUNNING or _is_on_loop():
            return  # they come on the very loop that stands still meanwhile
        grace = min(deadline, time.monotonic() + CALLBACK_GRACE_S)
        while self.recorder.is_awaiting_call and time.monotonic() < grace:
            time.sleep(0.002)
        while self.recorder.is_awaiting_notice and time.monotonic() < min(deadline, grace + HOLD_S):
            time.sleep(0.01)

    def _running_pipeline(self, deadline: float) -> Optional[Pipeline]:
        if self._state is not State.RUNNING:
            return None
        self._ready.wait(max(0.0, deadline - time.monotonic()))
        return self._pipeline

    def _await_threads(self, deadline: float) -> None:
        self.recorder.sweep()
        grace = min(deadline, time.monotonic() + CALLBACK_GRACE_S)
        while self._state is State.RUNNING and self.recorder.is_awaiting_thread and time.monotonic() < grace:
            time.sleep(0.002)

    def shutdown(self, timeout_s: float, reason: ShutdownReason = ShutdownReason.REQUESTED) -> int:
        """Commit everything, deliver what can be delivered in time, close the files; how many events are left.

        They are on disk and go out with the next process. Takes `timeout_s` at most. Idempotent. Events that come
        afterwards are still written to the spool.
        """
        deadline = time.monotonic() + timeout_s
        if reason is ShutdownReason.CHILD_EXIT or (reason is ShutdownReason.ATEXIT and sys.version_info < (3, 9)):
            self._await_threads(deadline - _CLOSING_S)
        if reason is ShutdownReason.REQUESTED:
            self.recorder.settle_all_held()
        else:
            self.recorder.close()
        with self._lock:
            was, self._state = self._state, State.CLOSED
            if was is State.CREATED:
                self._queue.close()
        if was is State.RUNNING and self._thread is not None:
            self._deadline = deadline
            if self._ready.wait(timeout_s) and self._pipeline is not None:
                self._pipeline.loop.call_soon_threadsafe(self._pipeline.stop.set)
            self._thread.join(max(0.0, deadline - time.monotonic()))
        self._queue.close()
        return self._counters.snapshot().pending

    # ---- the thread

    def _main(self) -> None:
        # A plain selector loop, whatever policy the application has set: this one must survive anything.
        loop = asyncio.SelectorEventLoop()
        try:
            loop.run_until_complete(self._run(loop))
        finally:
            loop.close()

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        settings = self.settings
        spool = Spool(settings.spool_path, self._counters, durability=settings.durability, limits=limits_of(settings))
        sink = sink_for(settings)
        flusher = Flusher(
            spool, sink, self._counters, lookup_delay_s=settings.lookup_delay, on_delivered=self._on_delivered
        )

        def committed(group: Sequence[Record]) -> None:
            self._on_committed(group, flusher)

        writer = Writer(self._queue, spool, committed, pause_s=0.0 if settings.strict else COMMIT_EVERY_S)
        pipeline = self._pipeline = Pipeline(loop, asyncio.Event(), spool, writer, flusher, sink)
        self._ready.set()
        writing = asyncio.ensure_future(_forever("writer", writer.run))
        others = [asyncio.ensure_future(_forever("upkeep", lambda: self._maintain(pipeline)))]
        if settings.flush:
            others.append(asyncio.ensure_future(_forever("flusher", flusher.run)))
        try:
            await pipeline.stop.wait()
            await self._finish(pipeline)
        finally:
            self._queue.close()
            try:
                async with writer.commit_lock:  # a transaction would go on without it
                    await _cancel([writing, *others])
                await writer.commit_all()
                await sink.aclose()
            finally:
                await spool.close()

    async def _hand_off(self, pipeline: Pipeline) -> None:
        await pipeline.writer.commit_all()
        async with pipeline.writer.commit_lock:
            await run_to_completion(pipeline.spool.seal_active())
        await run_to_completion(pipeline.spool.hand_off())

    def _on_committed(self, group: Sequence[Record], flusher: Flusher) -> None:
        if any(record.kind == EVENT for record in group):
            flusher.wake()
        if self.settings.debug:
            for record in group:
                if record.kind == EVENT:
                    announce(f"HoneyHive Trace Logged: event {record.id} is in the spool")

    def _on_delivered(self, rows: Sequence[Row]) -> None:
        if self.settings.debug:
            for row in rows:
                announce(f"HoneyHive Trace Logged: event {row.id} is delivered")

    async def _maintain(self, pipeline: Pipeline) -> None:
        """Take in what dead processes left, and write the outcomes that LiteLLM does not tell of."""
        publisher, drop_report = Publisher(pipeline.spool, flushes=self.settings.flush), DropReport(self.settings)
        next_look = next_hand_off = 0.0
        while True:
            self.recorder.sweep()
            await run_to_completion(pipeline.spool.maintain())
            publisher.publish(self.stats())
            report = drop_report.report(self.stats())
            if report is not None:
                self.submit(report)
            if not self.settings.flush:
                self._first_scan.set()
                if time.monotonic() >= next_hand_off:
                    next_hand_off = time.monotonic() + HAND_OFF_EVERY_S
                    await self._hand_off(pipeline)
            elif time.monotonic() >= next_look or not pipeline.spool.scan_complete:
                next_look = time.monotonic() + ADOPT_EVERY_S
                if await pipeline.spool.adopt():
                    pipeline.flusher.wake()
                if pipeline.spool.scan_complete:
                    self._first_scan.set()
            is_behind = self.settings.flush and not pipeline.spool.scan_complete
            await asyncio.sleep(ADOPT_NEXT_S if is_behind else SWEEP_EVERY_S)

    async def _finish(self, pipeline: Pipeline) -> None:
        """Deliver until all is settled or the time is nearly up."""
        if not self.settings.flush:
            return
        pipeline.flusher.set_urgent(True)
        while self._counters.snapshot().pending and time.monotonic() < self._deadline - _CLOSING_S:  # noqa: ASYNC110  settled is told to threads, not to this loop
            await asyncio.sleep(0.005)

    # ---- fork

    def forget_inherited(self) -> None:
        """In a forked child: leave everything alone that belongs to the parent, and start afresh.

        Not even a reference count may reach zero: closing an inherited SQLite connection would delete the parent's
        live WAL (https://www.sqlite.org/howtocorrupt.html, section 2.6). So the objects are made immortal.
        """
        if self._pipeline is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._pipeline))
        if self._late is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._late))
        self._reset()


_runtimes: List[Runtime] = []


def runtime_for(settings: Settings, litellm: LiteLLMFunctions) -> Runtime:
    """The process's runtime for these settings, made at the first request."""
    for runtime in _runtimes:
        if runtime.settings == settings and not runtime.is_closed:
            return runtime
    return Runtime(settings, litellm)


def flush_all(timeout_s: float) -> int:
    """Flush the runtimes at work within the time; how many events are undelivered."""
    deadline = time.monotonic() + timeout_s
    return sum(runtime.flush(max(0.0, deadline - time.monotonic())) for runtime in _current())


def shutdown_all(
    timeout_s: Optional[float] = None,
    reason: ShutdownReason = ShutdownReason.REQUESTED,
    deregister: Optional[Callable[[], None]] = None,
) -> int:
    """Shut every runtime down, each within `timeout_s` or its own `shutdown_timeout`; how many events are left.

    `deregister` takes our loggers out of LiteLLM's lists. That comes after the wait for its callbacks, since LiteLLM
    tells nobody whom it does not know any more, of no call that has just ended.
    """
    began = time.monotonic()

    def left_s(runtime: Runtime) -> float:
        timeout = runtime.settings.shutdown_timeout if timeout_s is None else timeout_s
        return max(0.0, began + timeout - time.monotonic())

    current = _current()
    if reason is ShutdownReason.REQUESTED:
        for runtime in current:
            runtime.await_callbacks(time.monotonic() + left_s(runtime) * _CALLBACKS_SHARE)
    if deregister is not None:
        deregister()
    for runtime in _runtimes:
        runtime.shutdown(left_s(runtime), reason)
    return sum(runtime.stats().pending for runtime in current)


def stats_of_all() -> Stats:
    """The numbers of the runtimes at work, added up."""
    return sum_of([runtime.stats() for runtime in _current()])


def _current() -> List[Runtime]:
    """The runtimes at work; after a shutdown the last one, whose numbers are final.

    What an earlier one left on disk is no longer its own: whoever adopts it counts it.
    """
    return [runtime for runtime in _runtimes if not runtime.is_closed] or _runtimes[-1:]


def _forget_all_inherited() -> None:
    for runtime in _runtimes:
        runtime.forget_inherited()


def _end_with_multiprocessing() -> None:
    """In a child of multiprocessing have its own exit handling shut us down: it ends with `os._exit`, without `atexit`.

    That forgets what is registered before the fork, so each child registers for itself, at its first event.
    """
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, shutdown_all, kwargs={"reason": ShutdownReason.CHILD_EXIT}, exitpriority=_AFTER_OTHERS)


atexit.register(shutdown_all, reason=ShutdownReason.ATEXIT)
on_fork(Part.RUNTIMES, after_in_child=_forget_all_inherited)


async def _forever(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` until cancelled: a fault of ours must not end the writing or the delivery."""
    while True:
        try:
            await work()
        except Exception as error:
            warn(name, "honeyhive: the %s failed and is started again: %r", name, error)
        await asyncio.sleep(1)


async def _cancel(tasks: Sequence[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
