"""The one place that puts the parts together: queue, writer, spool, flusher, sink, heartbeat.

The runtime, `drain`, the redrive of dead letters and the tests all get their parts here.
"""

from __future__ import annotations

import asyncio
import functools
import time
from pathlib import Path
from typing import Awaitable, Callable, List, Optional, Sequence

from honeyhive_litellm._aio import cancel_all, restart_forever, run_to_completion
from honeyhive_litellm._config.broker import DEFAULT_DESTINATION
from honeyhive_litellm._config.paths import IN_MEMORY, file_name_of
from honeyhive_litellm._config.settings import DROP_NEWEST, Settings
from honeyhive_litellm._delivery.backoff import BackOff
from honeyhive_litellm._delivery.flusher import LINGER_S, Flusher
from honeyhive_litellm._delivery.redrive import RedriveResult, redrive
from honeyhive_litellm._delivery.sinks.factory import sink_for
from honeyhive_litellm._delivery.sinks.timed import TimedSink
from honeyhive_litellm._privacy.cipher import cipher_of
from honeyhive_litellm._spool.dead_letters import DeadLetter
from honeyhive_litellm._spool.heartbeat import Publisher
from honeyhive_litellm._spool.layout import DESTINATIONS_NAME, destination_folder
from honeyhive_litellm._spool.limits import NO_LIMITS, Limits
from honeyhive_litellm._spool.private_files import effective_folder
from honeyhive_litellm._spool.queue import RecordQueue
from honeyhive_litellm._spool.record import EVENT, Record, Row
from honeyhive_litellm._spool.spool import Spool
from honeyhive_litellm._spool.writer import COMMIT_EVERY_S, Writer
from honeyhive_litellm._stats import Counters

from .batch_durations import note_batch
from .metric_table import Reading

CLOSING_S = 0.5
"""The part of a shutdown's time that is reserved for closing the files."""

BROKER_LINGER_S = 0.02
"""How long an event waits for others where it goes to a broker, which does not mind a message alone."""

_POLL_S = 0.005

OnCommitted = Callable[[Sequence[Record]], None]
OnDelivered = Callable[[Sequence[Row]], None]


class Pipeline:
    """Everything that takes records to the server, on the event loop that runs when it is made.

    Nothing runs until `start`. `flushes` is what the heartbeat publishes: whether this process delivers.
    """

    def __init__(
        self,
        settings: Settings,
        counters: Counters,
        queue: Optional[RecordQueue] = None,
        *,
        destination: Optional[str] = None,
        flushes: bool = True,
        on_committed: Optional[OnCommitted] = None,
        on_delivered: Optional[OnDelivered] = None,
        back_off: Optional[BackOff] = None,
        has_limits: bool = True,
    ) -> None:
        """Without a `queue` nothing is written. `destination` is its name in the metrics, None for none.

        Without `has_limits` nothing is dropped for its size or age.
        """
        self.loop = asyncio.get_running_loop()
        self._counters = counters
        self._on_committed = on_committed
        self._queue = queue or RecordQueue(counters)
        self.spool = Spool(
            spool_folder_of(settings),
            counters,
            durability=settings.durability,
            limits=limits_of(settings) if has_limits else NO_LIMITS,
            cipher=cipher_of(settings.spool_key),
            project=owners_project(settings),
            delivers=flushes,
            keep_s=0.0 if settings.broker is None else settings.broker_keep,
        )
        self.sink = TimedSink(sink_for(settings), functools.partial(note_batch, destination=destination))
        self.flusher = Flusher(
            self.spool,
            self.sink,
            counters,
            lookup_delay_s=settings.lookup_delay,
            on_delivered=on_delivered or _ignore,
            back_off=back_off,
            linger_s=LINGER_S if settings.broker is None else BROKER_LINGER_S,
        )
        pause_s = 0.0 if settings.strict else COMMIT_EVERY_S
        self.writer = Writer(self._queue, self.spool, self._committed, pause_s=pause_s)
        self.heartbeat = Publisher(self.spool, flushes=flushes)
        self.has_activity = asyncio.Event()
        """Set by each commit, and by `note_activity`: maintenance that rests goes on."""
        self.spool_reading: Optional[Reading] = None
        """What the metrics show of the spool; other threads read it, so it is replaced as a whole."""
        self._capacity = settings.spool_max_bytes
        self._tasks: List[asyncio.Future[None]] = []
        self._stop = asyncio.Event()
        self._is_closing = False

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` until `aclose`; after a failure it is started again. `name` is what a log line calls it."""
        self._tasks.append(asyncio.ensure_future(restart_forever(name, work, lambda: self._is_closing)))

    def stop(self) -> None:
        """Let `stopped` return. From any thread."""
        self.call_soon(self._stop.set)

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        """Call `callback` on the loop, from any thread; nothing if the loop is closed."""
        try:
            self.loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            pass  # it has just ended

    def note_activity(self) -> None:
        """Have maintenance do a round, if it rests. From any thread."""
        self.call_soon(self.has_activity.set)

    def resume(self) -> None:
        """After an interrupt of the loop: look for work again, since a wake-up may be lost."""
        self.writer.resume()
        self.flusher.wake()

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    async def stopped(self) -> None:
        await self._stop.wait()

    def _committed(self, group: Sequence[Record]) -> None:
        self.has_activity.set()
        if any(record.kind == EVENT for record in group):
            self.flusher.wake()
        if self._on_committed is not None:
            self._on_committed(group)

    async def deliver_until(self, deadline: float) -> None:
        """Deliver without lingering until nothing is pending, or until this time of the monotonic clock."""
        self.flusher.set_urgent(True)
        while self._counters.snapshot().pending and time.monotonic() < deadline:  # noqa: ASYNC110  settling wakes threads, not this loop
            await asyncio.sleep(_POLL_S)

    def begin_hand_off(self, on_done: Callable[[], None]) -> None:
        """`hand_off`, on the loop, and then call `on_done`."""

        def done(hand_off: asyncio.Future[None]) -> None:
            if not hand_off.cancelled():
                hand_off.exception()  # else asyncio logs it; the next hand-off meets the same trouble
            on_done()

        asyncio.ensure_future(self.hand_off()).add_done_callback(done)

    def refresh_spool_reading(self) -> None:
        """Take a new `spool_reading`."""
        oldest_at = self.spool.oldest_pending_at()
        self.spool_reading = Reading(
            spool_bytes=self.spool.bytes_on_disk(),
            spool_capacity=self._capacity,
            spool_free=self.spool.free_bytes,
            oldest_pending_age_s=None if oldest_at is None else max(0.0, time.time() - oldest_at),
            is_circuit_open=self.flusher.is_circuit_open,
        )

    async def maintain(self) -> None:
        """Apply the limits of the spool, while no commit is under way: they may touch what it is about to write to."""
        async with self.writer.commit_lock:
            await run_to_completion(self.spool.maintain())

    async def hand_off(self) -> None:
        """Give what was recorded so far to another process to deliver."""
        await self.writer.commit_all()
        async with self.writer.commit_lock:
            await run_to_completion(self.spool.seal_active())
        await run_to_completion(self.spool.hand_off())

    async def aclose(self) -> None:
        """End the tasks, commit what is in the queue, close connections and files. What is left stays in the spool."""
        self._queue.close()
        await self.suspend()

    async def suspend(self) -> None:
        """`aclose`, but the queue stays open for another pipeline, which has to commit what comes meanwhile."""
        self._is_closing = True
        try:
            async with self.writer.commit_lock:  # a transaction would go on although its task was cancelled
                await cancel_all(self._tasks)
            self.writer.end()
            await self.writer.commit_all()
            await self.sink.aclose()
        finally:
            await self.spool.close()


async def redrive_letters(settings: Settings, letters: Sequence[DeadLetter]) -> RedriveResult:
    """Send dead letters of the settings' spool again, past its flusher. Raises SpoolError."""
    sink = sink_for(settings)
    try:
        cipher = cipher_of(settings.spool_key)
        folder = spool_folder_of(settings)
        project = settings.project if settings.broker is None else None
        delay_s = settings.lookup_delay
        return await redrive(folder, letters, sink, lookup_delay_s=delay_s, cipher=cipher, project=project)
    finally:
        await sink.aclose()


def spool_folder_of(settings: Settings) -> Path:
    """The folder of these settings' own files, which is `spool_path` or a folder inside.

    What is in a folder goes to one stream, and so to one key: each destination of a broker but the default one has a
    folder of its own, under the same `spool_path`. The settings of a listed destination name it already.
    """
    path, destination = settings.spool_path, settings.broker_destination
    if settings.broker is None or path == IN_MEMORY or destination == DEFAULT_DESTINATION:
        return path
    if (path.parent.name, path.name) == (DESTINATIONS_NAME, destination):
        return path
    return destination_folder(effective_folder(path), destination)


def owners_project(settings: Settings) -> str:
    """The project that is bound to the files of these settings; none with a broker, where the stream decides."""
    return "" if settings.broker is not None else file_name_of(settings.project)


def limits_of(settings: Settings) -> Limits:
    return Limits(
        max_bytes=settings.spool_max_bytes,
        max_age_s=settings.spool_max_age,
        min_free_bytes=settings.spool_min_free_bytes,
        drops_newest=settings.spool_policy == DROP_NEWEST,
    )


def _ignore(_rows: Sequence[Row]) -> None:
    pass
