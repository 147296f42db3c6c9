"""The process's one background thread with its one event loop: every file, socket and task of this package is there.

The thread starts at the first event, never at import or `init`, so that a `fork` in between copies nothing alive. It
serves callers on any thread, on any number of loops, or on none. It is a daemon, and so are aiosqlite's threads: the
interpreter's exit waits for our `atexit` handler, which is bounded in time, and for nothing else.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import time
from enum import Enum
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence

from honeyhive_litellm._aio import on_event_loop, run_until_done
from honeyhive_litellm._capture.outcomes import LiteLLMFunctions
from honeyhive_litellm._capture.recorder import HOLD_S, Recorder
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._foreign import class_name
from honeyhive_litellm._log import announce, warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._spool.record import EVENT, Entry, Record, Row
from honeyhive_litellm._stats import Stats

from .channel import Channel
from .channels import Channels, channel_settings
from .commit_waiter import CommitWaiter
from .metric_table import Reading
from .pipeline import CLOSING_S, spool_folder_of

CALLBACK_GRACE_S = 2.0
"""How long `flush` waits for LiteLLM's callbacks for calls that have just ended."""

CALLBACKS_SHARE = 0.5
"""The most of a flush's time that is spent waiting for LiteLLM's callbacks, some of which never come. The rest is for
delivering what was seen of those calls."""


DELIVERY_S = 600.0
"""How long a runtime goes on trying to deliver after its tenure. Then what is left stays on disk, as at a shutdown."""


class QueuedStart(NamedTuple):
    """The start record of a call: its position in the queue that `commits` watches; 0, for which nobody waits."""

    commits: CommitWaiter
    position: int


class State(Enum):
    """A runtime goes through these once, in order."""

    CREATED = "created"
    RUNNING = "running"
    CLOSED = "closed"


class ShutdownReason(Enum):
    """Why a runtime is shut down, which decides whose callbacks may still come."""

    REQUESTED = "requested"
    """The application goes on: LiteLLM's threads and its queue on a loop still report calls."""
    ATEXIT = "atexit"
    """LiteLLM's threads have ended, nothing more is reported. On Python 3.8 the interpreter joins them only later."""
    CHILD_EXIT = "child exit"
    """A child of multiprocessing ends: LiteLLM's threads still report calls, the loops have ended."""


class Runtime:
    """Everything behind one `Settings`: recorder, channels, and the thread that runs them."""

    def __init__(
        self, settings: Settings, litellm: LiteLLMFunctions, *, token_key: str, on_thread_started: Callable[[], None]
    ) -> None:
        """`token_key` is where the recorder keeps its token in LiteLLM's `call_details`; each runtime has its own."""
        self.settings = settings
        self._named = channel_settings(settings)
        self._litellm = litellm
        self._token_key = token_key
        self._on_thread_started = on_thread_started
        self._is_in_forked_child = False
        self._on_replaced: Optional[Callable[[], None]] = None
        self._make_anew()

    def _make_anew(self) -> None:
        self.channels = Channels(self.settings, self._named, self._join)
        self.recorder = Recorder(
            self.settings, self.submit, self._litellm, self._token_key, self._named, self._submit_to
        )
        self._lock = threading.Lock()
        self._state = State.CREATED
        self._thread: Optional[threading.Thread] = None
        self._ready = threading.Event()
        self._has_ended = threading.Event()
        self._deadline = 0.0

    @property
    def is_closed(self) -> bool:
        return self._state is State.CLOSED

    @property
    def is_forgettable(self) -> bool:
        """Whether nothing can come to it any more: it is closed and has no call that may still end."""
        is_writing = any(channel.late_writer is not None for channel in self.channels)
        return self.is_closed and not is_writing and not self.recorder.in_flight

    @property
    def has_calls(self) -> bool:
        """Whether a call is in flight, or a request to a Router, which may be between two attempts."""
        return bool(self.recorder.in_flight) or self.recorder.tenure.has_requests

    def retire(self, on_over: Callable[[], None]) -> None:
        """Its recorder's tenure has ended: call `on_over`, on any thread, once its calls have ended and are delivered.

        That is now if it has had none, and in a forked child, since they are the parent's.
        """
        with self._lock:
            self._on_replaced = on_over
        if self.channels.main.pipeline is not None:
            self.channels.main.pipeline.note_activity()
        if self.has_calls:
            self.start()  # if it writes no starts, nothing has started the thread that looks after them
        elif self._state is State.CREATED:
            self._tenure_over()

    def _tenure_over(self) -> None:
        on_over, self._on_replaced = self._on_replaced, None
        if on_over is not None:
            threading.Thread(target=on_over, name="honeyhive-litellm-replaced", daemon=True).start()

    def stats(self) -> Stats:
        """A snapshot of this process's numbers."""
        return self.channels.stats(self.recorder.targets)

    def spool_readings(self) -> Dict[str, Reading]:
        """The spools' part of a reading by destination, of those that had a round of maintenance."""
        return self.channels.spool_readings()

    # ---- taking records in, on any thread

    def submit(self, entry: Entry) -> int:
        """Queue a record of the main project; see `Channel.submit`."""
        if self._state is State.CREATED:
            self.start()
        return self.channels.main.submit(entry)

    def _submit_to(self, name: str) -> Callable[[Entry], int]:
        channel = self.channels.named[name]

        def submit(entry: Entry) -> int:
            if self._state is State.CREATED:
                self.start()
            return channel.submit(entry)

        return submit

    def channel_of(self, call_details: Mapping[str, Any]) -> Channel:
        """The channel of a call that has begun; the main one for others."""
        if not self._named:
            return self.channels.main
        name = getattr(self.recorder.target_of(call_details), "name", None)
        return self.channels.main if name is None else self.channels.named[name]

    def start_of(self, call_details: Mapping[str, Any]) -> QueuedStart:
        """Where the start record of a call is that is open."""
        return QueuedStart(self.channel_of(call_details).commits, self.recorder.start_position(call_details))

    def _join(self) -> None:
        """Wait until the thread has closed all files."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(CLOSING_S)

    # ---- flush and shutdown, on the caller's thread

    def flush(self, timeout_s: float) -> int:
        """Deliver what was recorded so far; how many events are undelivered when it is done or the time is up.

        What dead processes left in the spool is part of it, so `init` and `flush` together drain a spool. With
        `flush=False` it hands off what was recorded so far, all of which counts as undelivered. Blocks; not for use
        on an event loop.

        LiteLLM's callback for a call that has just returned may still be on its way. It is waited for briefly, then
        what was seen of the call is recorded without it.
        """
        deadline = time.monotonic() + timeout_s
        self.await_callbacks(time.monotonic() + timeout_s * CALLBACKS_SHARE)
        return self.deliver(deadline)

    def deliver(self, deadline: float) -> int:
        """`flush` until this time of the monotonic clock, without the wait for LiteLLM's callbacks."""
        self.recorder.settle_all_held()
        self.start()
        if self._is_running(deadline):
            channels = [c for c in self.channels if c.pipeline is not None or c.counters.snapshot().pending]
            for step in (Channel.begin_flush, Channel.wait_for_flush, Channel.end_flush):
                for channel in channels:
                    step(channel, deadline)
        return self.stats().pending

    def await_callbacks(self, deadline: float) -> None:
        """Wait for LiteLLM's callbacks for calls that have just ended, briefly and until `deadline` at most."""
        if self._state is not State.RUNNING or on_event_loop():
            return  # blocking the loop that the callbacks run on would keep them from coming
        grace = min(deadline, time.monotonic() + CALLBACK_GRACE_S)
        while self.recorder.is_awaiting_call and time.monotonic() < grace:
            time.sleep(0.002)
        while self.recorder.is_awaiting_callback and time.monotonic() < min(deadline, grace + HOLD_S):
            time.sleep(0.01)

    def shutdown(self, timeout_s: float, reason: ShutdownReason = ShutdownReason.REQUESTED) -> int:
        """Commit everything, deliver what can be delivered in time, close the files; how many events are left.

        Those are on disk and go out with the next process. Takes `timeout_s` at most. Idempotent. Events that are
        submitted afterwards are still written to the spool.
        """
        deadline = time.monotonic() + timeout_s
        self.recorder.targets.hurry()
        if reason is ShutdownReason.CHILD_EXIT or (reason is ShutdownReason.ATEXIT and self._threads_outlive_atexit):
            self._await_litellm_threads(deadline - CLOSING_S)
        if reason is ShutdownReason.REQUESTED:
            self.recorder.settle_all_held()
        else:
            self.recorder.close()
        with self._lock:
            was, self._state = self._state, State.CLOSED
            if was is State.CREATED:
                self.channels.close_queues()
        if was is State.RUNNING and self._thread is not None:
            self._deadline = deadline
            if self._ready.wait(timeout_s) and self.channels.main.pipeline is not None:
                self.channels.main.pipeline.stop()
            self._thread.join(_until(deadline))
        self.channels.close_queues()
        self.recorder.targets.close()
        return self.stats().pending

    def _is_running(self, deadline: float) -> bool:
        if self._state is not State.RUNNING:
            return False
        self._ready.wait(_until(deadline))
        return not self._has_ended.is_set() and self.channels.main.pipeline is not None

    @property
    def _threads_outlive_atexit(self) -> bool:
        """Whether LiteLLM's logging threads may still report calls when `atexit` handlers run."""
        return self._is_in_forked_child or sys.version_info < (3, 9)

    def _await_litellm_threads(self, deadline: float) -> None:
        self.recorder.sweep()
        grace = min(deadline, time.monotonic() + CALLBACK_GRACE_S)
        while self._state is State.RUNNING and self.recorder.is_awaiting_thread and time.monotonic() < grace:
            time.sleep(0.002)

    # ---- the thread

    def start(self) -> None:
        """Start the thread, unless it has been started."""
        with self._lock:
            if self._state is not State.CREATED:
                return
            self._thread = threading.Thread(target=self._main, name="honeyhive-litellm", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is shutting down and starts no more threads
                self._thread = None
                self._state = State.CLOSED
                self.channels.close_queues()
                return
            self._state = State.RUNNING
            self._on_thread_started()

    def _main(self) -> None:
        try:
            # A plain selector loop, whatever policy the application has set: this loop must not depend on it.
            loop = asyncio.SelectorEventLoop()
            try:
                run_until_done(loop, loop.create_task(self._run()), self._resume)
            finally:
                loop.close()
        except BaseException as error:
            warn(
                LogCode.THREAD_ENDED,
                "honeyhive: the background thread of this package ended by %s. What is recorded is still written to "
                "the spool %s, and delivered by the next process that opens it",
                class_name(error),
                spool_folder_of(self.settings),
            )
        finally:
            self._write_rest()

    def _resume(self) -> None:
        for pipeline in self.channels.open:
            pipeline.resume()

    def _write_rest(self) -> None:
        self.channels.close_queues()
        self._has_ended.set()
        self._ready.set()
        for channel in self.channels:
            channel.first_scan.set()
        for channel in self.channels:
            channel.write_rest()

    async def _run(self) -> None:
        main = self.channels.open_main(
            self.recorder.targets,
            on_round=self._look_after_calls,
            may_rest=self._may_rest,
            on_committed=self._announce_committed if self.settings.debug else None,
            on_delivered=self._announce_delivered if self.settings.debug else None,
        )
        try:
            self.channels.open_needed()
            self._ready.set()
            await main.stopped()
            self.channels.begin_stop()
            if self.settings.flush:
                await self.channels.deliver_until(self._deadline - CLOSING_S)
        finally:
            await self.channels.aclose()

    def _look_after_calls(self) -> None:
        """In each round of the main project's maintenance."""
        self.recorder.sweep()
        self.channels.open_needed()
        if self._is_over():
            self._tenure_over()

    def _may_rest(self) -> bool:
        """Whether a call that begins is noticed by its start record, and nobody waits for the end of the tenure."""
        return self.settings.capture_in_flight and not self.recorder.tenure.has_ended

    def _is_over(self) -> bool:
        """Whether its tenure has ended, and all its calls are recorded, and are delivered or overdue."""
        tenure = self.recorder.tenure
        if not tenure.is_over or self.recorder.in_flight:
            return False
        return not self.settings.flush or not self.stats().pending or tenure.ended_for_s > DELIVERY_S

    def _announce_committed(self, group: Sequence[Record]) -> None:
        for record in group:
            if record.kind == EVENT:
                announce(f"HoneyHive Trace Logged: event {record.id} is in the spool")

    def _announce_delivered(self, rows: Sequence[Row]) -> None:
        for row in rows:
            announce(f"HoneyHive Trace Logged: event {row.id} is delivered")

    # ---- fork

    def forget_inherited(self) -> None:
        """In a forked child: leave alone everything that belongs to the parent, and start afresh.

        Not even a reference count may reach zero: closing an inherited SQLite connection would delete the parent's
        live WAL (https://www.sqlite.org/howtocorrupt.html, section 2.6). So the objects are made immortal.
        """
        for channel in self.channels:
            for inherited in (channel.pipeline, channel.late_writer):
                if inherited is not None:
                    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
        self._is_in_forked_child = True
        was_replaced = self.recorder.tenure.has_ended
        self._make_anew()
        if was_replaced:
            self.recorder.tenure.end()
            self._state = State.CLOSED
            self.channels.close_queues()
            if self._on_replaced is not None:
                self._on_replaced()


def _until(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
