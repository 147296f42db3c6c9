"""The metrics of a whole spool, in Prometheus' text format. Needs `prometheus_client`."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Optional, Tuple

from honeyhive_litellm._config.destinations import MAIN
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher
from honeyhive_litellm._runtime.batch_durations import listen
from honeyhive_litellm._runtime.metric_table import BUCKETS_S, HISTOGRAM, METRICS, Kind, Reading, plain
from honeyhive_litellm._spool.status import status_of

FRESH_S = 1.0
"""A reading serves all requests within this time: several scrapers read the folder once."""

HOLD_S = 30.0
"""The longest time for which a reading is kept because the next one is not to be trusted."""

_TRIES = 3
_PAUSE_S = 0.05


class FolderReader:
    """Reads the numbers of all processes of a folder. Safe on every thread.

    While a segment passes from a dead process to a living one, there is a moment at which its events are counted
    nowhere. A counter that goes down looks like a restart to Prometheus, so such a reading is taken again, and if that
    does not help, the last one is used for a while.
    """

    def __init__(
        self, folder: Path, capacity: int, is_circuit_open: Callable[[], bool], cipher: Cipher = NO_CIPHER
    ) -> None:
        self._folder = folder
        self._capacity = capacity
        self._is_circuit_open = is_circuit_open
        self._cipher = cipher
        self._lock = threading.Lock()
        self._last = Reading(spool_capacity=capacity)
        self._last_at = -FRESH_S

    def read(self) -> Reading:
        """The numbers of this moment, or of at most a second ago. Raises SpoolError if the folder cannot be read."""
        with self._lock:
            if time.monotonic() - self._last_at < FRESH_S:
                return self._last
            for _ in range(_TRIES):
                reading = self._read_once()
                if not went_down(self._last, reading):
                    break
                time.sleep(_PAUSE_S)
            else:
                if time.monotonic() - self._last_at < HOLD_S:
                    return self._last
            self._last, self._last_at = reading, time.monotonic()
            return reading

    def _read_once(self) -> Reading:
        if not self._folder.is_dir():
            return Reading(spool_bytes=0, spool_capacity=self._capacity)
        status = asyncio.run(status_of(self._folder, self._cipher))
        return Reading(
            accepted=status.totals.accepted,
            delivered=status.totals.delivered,
            pending=status.totals.pending,
            dead=status.totals.dead,
            dropped=dict(status.totals.dropped),
            in_flight=sum(process.stats.in_flight for process in status.processes),
            locked=status.locked,
            spool_bytes=status.bytes_on_disk,
            spool_capacity=self._capacity,
            spool_free=_free_bytes(self._folder),
            oldest_pending_age_s=status.oldest_age_s(time.time()),
            is_circuit_open=self._is_circuit_open(),
        )


def went_down(before: Reading, after: Reading) -> bool:
    """Whether a counter is lower than before."""
    return (
        after.accepted < before.accepted
        or after.delivered < before.delivered
        or any(after.dropped.get(reason, 0) < events for reason, events in before.dropped.items())
    )


def _free_bytes(folder: Path) -> Optional[int]:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


class Exposition:
    """What `/metrics` answers with. Raises ImportError without `prometheus_client`."""

    def __init__(self, reader: FolderReader, destinations: Optional[Mapping[str, FolderReader]] = None) -> None:
        """With `destinations`, `reader` is that of the main project."""
        from prometheus_client import CollectorRegistry, Histogram

        self._reader = reader
        self._destinations = destinations or {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        durations = Histogram(
            HISTOGRAM.prometheus_name, plain(HISTOGRAM.doc), ["result"], buckets=BUCKETS_S, registry=self._registry
        )
        listen(lambda seconds, result, _: durations.labels(result).observe(seconds))

    def collect(self) -> Iterator[Any]:
        """The metrics of the folder, for the registry."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        reading = self._reader.read()
        if self._destinations:
            others = {name: reader.read() for name, reader in self._destinations.items()}
            reading = replace(reading, destinations={MAIN: reading, **others})
        for metric in METRICS:
            if metric.points is not None:
                points = metric.points_of(reading)
                family = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
                labels = sorted({label for attributes, _ in points for label in attributes})
                made = family(metric.prometheus_name, plain(metric.doc), labels=labels)
                for attributes, value in points:
                    made.add_metric([attributes[label] for label in labels], value)
                yield made

    def text(self, accept: str) -> Tuple[bytes, str]:
        """The body in the format that the scraper accepts, and its content type."""
        from prometheus_client.exposition import choose_encoder

        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
