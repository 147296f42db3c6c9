"""The way of one destination's records: from its queue into its own spool folder, and from there to its server.

Channels share the runtime's loop and nothing else, so that trouble of one holds up none of the others. The main
project's channel is open as long as the runtime runs. Those of destinations open at their first record, and close when
nothing has come for a while: an idle destination has no thread, no connection and no open file.
"""

from __future__ import annotations

import threading
import time
from typing import Callable, Optional

from honeyhive_litellm._config.destinations import MAIN
from honeyhive_litellm._config.paths import IN_MEMORY
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._privacy.cipher import cipher_of
from honeyhive_litellm._spool.late_writer import LateWriter
from honeyhive_litellm._spool.layout import new_owner
from honeyhive_litellm._spool.queue import RecordQueue
from honeyhive_litellm._spool.record import EVENT, Entry, Record
from honeyhive_litellm._stats import Counters

from .commit_waiter import CommitWaiter
from .drop_report import DropReport
from .pipeline import Pipeline, owners_project, spool_folder_of

_POLL_S = 0.002


class Channel:
    """One destination of one runtime. `name` is None for the main project."""

    def __init__(
        self,
        name: Optional[str],
        settings: Settings,
        want_pipeline: Callable[[Channel], None],
        join: Callable[[], None],
    ) -> None:
        """`want_pipeline` has the runtime open one, from any thread; `join` waits until its thread has closed all."""
        self.name = name
        self.settings = settings
        self.counters = Counters()
        self.queue = RecordQueue(self.counters)
        self.commits = CommitWaiter(self.queue)
        self.first_scan = threading.Event()
        """Set once everything that dead processes left in the folder has been found."""
        self.drop_report = DropReport(settings)
        """Outlives the pipelines: the numbers that it has reported go on over closing and opening."""
        self.pipeline: Optional[Pipeline] = None
        """None while nothing is open; the runtime's loop sets it."""
        self.late_writer: Optional[LateWriter] = None
        self._want_pipeline = want_pipeline
        self._join = join
        self._lock = threading.Lock()
        self._handed_off = threading.Event()

    @property
    def label(self) -> str:
        """What numbers and messages call it."""
        return self.name or MAIN

    @property
    def has_queued(self) -> bool:
        """Whether anything in the queue is not committed."""
        return not self.queue.is_committed(self.queue.position)

    def submit(self, entry: Entry) -> int:
        """Queue a record; its position in the queue, 0 if it is not there. See `commits` for when it is on disk.

        Never raises, and never waits, except for the disk once the queue is closed.
        """
        if entry.kind == EVENT:
            self.counters.accept(1)
        if self.queue.put(entry):
            if self.pipeline is None:  # read after the put: a pipeline that closes looks at the queue after that
                self._want_pipeline(self)
            return self.queue.position  # or that of another thread's later one, whose commit comes no earlier
        if self.queue.is_closed:
            record = self.queue.encode(entry)
            if record is not None:
                self._write_late(record)
        elif entry.kind == EVENT:
            warn(
                LogCode.QUEUE_FULL,
                "honeyhive: the disk is slower than the calls and the queue is full: events are dropped",
            )
            self.counters.lose("memory", 1)
        return 0

    # ---- flushing, on the caller's thread

    def begin_flush(self, deadline: float) -> None:
        """Have the pipeline deliver without lingering, or hand off what was recorded so far, if it only writes."""
        while self.pipeline is None and self.has_queued and time.monotonic() < deadline:
            time.sleep(_POLL_S)  # the loop is about to open it
        pipeline = self.pipeline
        self._handed_off.clear()
        if pipeline is None:
            self._handed_off.set()
        elif self.settings.flush:
            pipeline.call_soon(pipeline.flusher.set_urgent, True)
        else:
            pipeline.call_soon(pipeline.begin_hand_off, self._handed_off.set)

    def wait_for_flush(self, deadline: float) -> None:
        """Wait until everything is settled or handed off, until this time of the monotonic clock at most."""
        if not self.settings.flush:
            self._handed_off.wait(max(0.0, deadline - time.monotonic()))
        elif self.pipeline is not None:
            self.first_scan.wait(max(0.0, deadline - time.monotonic()))
            self.counters.wait_until_settled(max(0.0, deadline - time.monotonic()))

    def end_flush(self, _deadline: float) -> None:
        """Deliver as usual again."""
        pipeline = self.pipeline
        if pipeline is not None:
            pipeline.call_soon(pipeline.flusher.set_urgent, False)

    def write_rest(self) -> None:
        """After the loop has ended, write what is left in the queue: nothing, unless it did not end in order."""
        self.queue.close()
        group = self.queue.take()
        while group:
            for record in group:
                self._write_late(record)
            self.queue.committed()
            group = self.queue.take()

    def _write_late(self, record: Record) -> None:
        try:
            if self.settings.spool_path == IN_MEMORY:
                raise SpoolError("the spool is in memory")
            with self._lock:
                if self.late_writer is None:
                    self._join()  # the thread is about to release the lease
                    settings, pipeline = self.settings, self.pipeline
                    owner = new_owner(owners_project(settings)) if pipeline is None else pipeline.spool.owner
                    self.late_writer = LateWriter(spool_folder_of(settings), owner, cipher_of(settings.spool_key))
            self.late_writer.append(record)
        except SpoolError as error:
            warn(
                LogCode.EVENT_AFTER_SHUTDOWN_LOST,
                "honeyhive: an event that came after shutdown could not be written and is lost: %s",
                error,
            )
            if record.kind == EVENT:
                self.counters.lose("late", 1)
        else:
            if record.kind == EVENT:
                self.counters.commit(1)
