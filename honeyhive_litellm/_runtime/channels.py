"""All channels of a runtime: which of them are open, and what is done with all of them at once.

`Channels` is made on any thread. From `open_main` on, its pipelines live on the loop of the runtime's thread.
"""

from __future__ import annotations

import asyncio
import functools
import time
from typing import Callable, Dict, Iterator, List, Optional

from honeyhive_litellm._aio import cancel_all, run_to_completion
from honeyhive_litellm._capture.targets import Targets
from honeyhive_litellm._config.broker import DEFAULT_DESTINATION
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._log import destination_in_log, warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._privacy.cipher import cipher_of
from honeyhive_litellm._spool.kept_segments import kept_in
from honeyhive_litellm._spool.layout import destination_folder, destinations_in, owners_in
from honeyhive_litellm._spool.private_files import effective_folder
from honeyhive_litellm._spool.status import FolderStatus, status_of
from honeyhive_litellm._stats import Stats, sum_of

from .channel import Channel
from .maintenance import Maintenance
from .metric_table import Reading
from .pipeline import OnCommitted, OnDelivered, Pipeline

IDLE_S = 60.0
"""A destination's channel closes after so many seconds without anything to do."""

MANY_OPEN, IDLE_AMONG_MANY_S = 32, 2.0
"""With more open channels than these, one without anything to do closes sooner: each has a thread and a connection."""

MOST_CLOSING = 8
"""How many idle channels close at a time: each opens its ledger, and hundreds of them at once would need memory that
the allocator then keeps."""

LOOK_EVERY_S = 30.0
"""How often the folders of closed channels are searched for what dead processes left."""


def channel_settings(settings: Settings) -> Dict[str, Settings]:
    """The settings of each destination, by its name."""
    if not settings.destination_list:
        return {}
    folder = effective_folder(settings.spool_path)
    return {
        destination.name: settings.for_destination(destination, destination_folder(folder, destination.name))
        for destination in settings.destination_list
    }


async def without_settings(settings: Settings) -> Dict[str, FolderStatus]:
    """The destinations that are not in the settings and have something in the spool that nobody delivers.

    That is undelivered events, dead letters, or files that cannot be read. A process that still has the destination in
    its settings delivers its own events. With a broker, the files outside of all destinations' folders are those of its
    default destination.
    """
    folder = effective_folder(settings.spool_path)
    configured = [destination.name for destination in settings.destination_list]
    folders = {name: destination_folder(folder, name) for name in destinations_in(folder)}
    if settings.broker is not None:
        configured.append(settings.broker_destination)
        if folder.is_dir():
            folders = {DEFAULT_DESTINATION: folder, **folders}
    found = {}
    for name, each in folders.items():
        if name not in configured:
            status = await status_of(each, cipher_of(settings.spool_key))
            if status.without_deliverer or status.dead_letters or status.unreadable:
                found[name] = status
    return found


class Channels:
    """The channel of the main project, and those of the destinations."""

    def __init__(self, settings: Settings, named: Dict[str, Settings], join: Callable[[], None]) -> None:
        """`join` waits until the thread that runs the loop has closed all files."""
        self.main = Channel(None, settings, self._want_pipeline, join)
        self.named = {name: Channel(name, each, self._want_pipeline, join) for name, each in named.items()}
        self._settings = settings
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._targets: Optional[Targets] = None
        self._on_committed: Optional[OnCommitted] = None
        self._on_delivered: Optional[OnDelivered] = None
        self._is_stopping = False
        self._next_look = 0.0
        self._search_for_removed: Optional[asyncio.Future[None]] = None
        self._closing: Dict[Channel, asyncio.Future[None]] = {}
        self._closing_slots: Optional[asyncio.Semaphore] = None
        self._idle_since: Dict[Channel, float] = {}

    def __iter__(self) -> Iterator[Channel]:
        yield self.main
        yield from self.named.values()

    # ---- numbers, on any thread

    def stats(self, targets: Targets) -> Stats:
        """A snapshot of all channels' numbers, and with destinations also of each one's."""
        numbers = targets.numbers()
        if not self.named:
            return self.main.counters.snapshot(*numbers[None])
        each = {channel.label: channel.counters.snapshot(*numbers.get(channel.name, ())) for channel in self}
        return sum_of([*each.values(), Stats(unrouted=targets.unrouted, destinations=each)])

    def _stats_of(self, channel: Channel) -> Stats:
        assert self._targets is not None
        return channel.counters.snapshot(*self._targets.numbers().get(channel.name, ()))

    def spool_readings(self) -> Dict[str, Reading]:
        """The spools' part of a reading by destination, as of the last round of maintenance, of the open channels."""
        pipelines = {channel.label: channel.pipeline for channel in self}
        found = {name: pipeline.spool_reading for name, pipeline in pipelines.items() if pipeline is not None}
        return {name: reading for name, reading in found.items() if reading is not None}

    def close_queues(self) -> None:
        """Refuse every later record: those are written as they come."""
        for channel in self:
            channel.queue.close()

    # ---- opening and closing, on the loop

    def open_main(
        self,
        targets: Targets,
        *,
        on_round: Callable[[], None],
        may_rest: Callable[[], bool],
        on_committed: Optional[OnCommitted],
        on_delivered: Optional[OnDelivered],
    ) -> Pipeline:
        """Open the main project's channel; `on_round` and `may_rest` are for its maintenance."""
        self._targets = targets
        self._on_committed, self._on_delivered = on_committed, on_delivered
        self._closing_slots = asyncio.Semaphore(MOST_CLOSING)
        self._loop = asyncio.get_running_loop()  # a record that came before is found by `open_needed`
        return self._open(self.main, on_round, may_rest)

    def _want_pipeline(self, channel: Channel) -> None:
        """Have the channel opened, from any thread. The main one is opened with the loop."""
        loop = self._loop
        if loop is not None and channel is not self.main:
            try:
                loop.call_soon_threadsafe(self.open_named, channel)
            except RuntimeError:
                pass  # the loop has ended: the rest of the queue is written by `Channel.write_rest`

    def open_needed(self) -> None:
        """Open the channels that have records in their queues, and now and then those with files in their folders."""
        for channel in self.named.values():
            if channel.has_queued:
                self.open_named(channel)
        if time.monotonic() >= self._next_look and not self._is_stopping:
            if not self._next_look:
                self._search_for_removed = asyncio.ensure_future(self._warn_of_removed())
            self._next_look = time.monotonic() + LOOK_EVERY_S
            for channel in self.named.values():
                if channel.pipeline is None and _has_files(channel.settings):
                    self.open_named(channel)

    def open_named(self, channel: Channel) -> None:
        """Open the channel of a destination, unless it is open."""
        if channel.pipeline is None:
            self._idle_since.pop(channel, None)
            with destination_in_log(channel.name or ""):
                self._open(channel, functools.partial(self._close_if_idle, channel), _never)

    def _open(self, channel: Channel, on_round: Callable[[], None], may_rest: Callable[[], bool]) -> Pipeline:
        flushes = channel.settings.flush
        pipeline = channel.pipeline = Pipeline(
            channel.settings,
            channel.counters,
            channel.queue,
            destination=channel.label if self.named else None,
            flushes=flushes,
            on_committed=self._on_committed,
            on_delivered=self._on_delivered,
        )
        maintenance = Maintenance(
            pipeline,
            channel.drop_report,
            flushes=flushes,
            stats=functools.partial(self._stats_of, channel),
            submit=channel.submit,
            on_round=on_round,
            on_first_scan=channel.first_scan.set,
            may_rest=may_rest,
        )
        pipeline.start("writer", pipeline.writer.run)
        pipeline.start("maintenance", maintenance.run)
        if flushes:
            pipeline.start("flusher", pipeline.flusher.run)
        return pipeline

    def _close_if_idle(self, channel: Channel) -> None:
        pipeline, now = channel.pipeline, time.monotonic()
        if pipeline is None or not self._may_close(channel, pipeline):
            self._idle_since.pop(channel, None)
            return
        idle_s = IDLE_S if len(self.open) <= MANY_OPEN else min(IDLE_S, IDLE_AMONG_MANY_S)
        if now - self._idle_since.setdefault(channel, now) >= idle_s and channel not in self._closing:
            self._closing[channel] = asyncio.ensure_future(self._suspend(channel, pipeline))

    def _may_close(self, channel: Channel, pipeline: Pipeline) -> bool:
        # What was lost is in no file: the account of the spool that counted it is closed with the process.
        is_idle = not channel.has_queued and not channel.counters.lost().accepted and pipeline.spool.is_idle
        return is_idle and not self._is_stopping

    async def _suspend(self, channel: Channel, pipeline: Pipeline) -> None:
        assert self._closing_slots is not None
        try:
            async with self._closing_slots:
                if self._may_close(channel, pipeline):  # a record may have come meanwhile
                    await self._suspend_now(channel, pipeline)
        finally:
            self._idle_since.pop(channel, None)
            del self._closing[channel]

    async def _suspend_now(self, channel: Channel, pipeline: Pipeline) -> None:
        try:
            await run_to_completion(pipeline.suspend())
        finally:
            channel.pipeline = None
            if channel.has_queued and not channel.queue.is_closed:
                self.open_named(channel)

    async def _warn_of_removed(self) -> None:
        try:
            removed = await without_settings(self._settings)
        except SpoolError:
            return  # `status` and `doctor` name a folder that cannot be read
        if removed and self._settings.broker is not None:
            warn(
                LogCode.DESTINATION_REMOVED,
                "honeyhive: this process publishes to the broker's destination %s, and its spool has undelivered "
                "events or dead letters of others: %s. They are kept for a process with that broker_destination, and "
                "published by `honeyhive-litellm drain --destination NAME`",
                self._settings.broker_destination,
                ", ".join(removed),
            )
        elif removed:
            warn(
                LogCode.DESTINATION_REMOVED,
                "honeyhive: the spool has undelivered events or dead letters of destinations that are not in the "
                "settings: %s. They are kept. Deliver them by `honeyhive-litellm drain --destination NAME --project "
                "PROJECT --spool-path %s` with the destination's key in HONEYHIVE_API_KEY, or put it into the settings "
                "again",
                ", ".join(removed),
                self._settings.spool_path,
            )

    # ---- all that are open, on the loop

    @property
    def open(self) -> List[Pipeline]:
        """The open pipelines."""
        return [channel.pipeline for channel in self if channel.pipeline is not None]

    async def deliver_until(self, deadline: float) -> None:
        """Deliver in all channels until nothing is pending, or until this time of the monotonic clock."""
        await asyncio.gather(*(pipeline.deliver_until(deadline) for pipeline in self.open))

    def begin_stop(self) -> None:
        """Adopt nothing more, and close no idle channel."""
        self._is_stopping = True
        for pipeline in self.open:
            pipeline.stop()

    async def aclose(self) -> None:
        """Close all channels: first what is in the queues is committed. What is left stays in the spools."""
        self._is_stopping = True
        self.close_queues()
        await asyncio.gather(*self._closing.values(), return_exceptions=True)
        results = await asyncio.gather(*(pipeline.aclose() for pipeline in self.open), return_exceptions=True)
        await cancel_all([self._search_for_removed] if self._search_for_removed is not None else [])
        for result in results:
            if isinstance(result, BaseException):
                raise result


def _never() -> bool:
    """Whether the maintenance of a destination may rest: its rounds close the channel when it is idle."""
    return False


def _has_files(settings: Settings) -> bool:
    """Whether any process has, or had, a spool file in the folder, or one is kept there that may be due for removal."""
    folder = settings.spool_path
    try:
        is_kept = settings.broker is not None and settings.broker_keep > 0 and bool(kept_in(folder))
        return is_kept or any(owners_in(folder).values())
    except (OSError, SpoolError):
        return False  # the folder is not there
