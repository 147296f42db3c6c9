"""The metrics: one row for each, which every exporter and the reference page are made from.

A reading holds all numbers of one moment, so that `accepted = delivered + pending + dead + dropped` holds in each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from honeyhive_litellm._stats import Stats


class Kind(Enum):
    """How a metric moves, in OpenTelemetry's words."""

    COUNTER = "counter"
    UP_DOWN_COUNTER = "up-down counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Reading:
    """The numbers of one moment, of a process or of a whole spool. None: cannot be determined."""

    accepted: int = 0
    delivered: int = 0
    pending: int = 0
    dead: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    in_flight: int = 0
    spool_bytes: Optional[int] = None
    spool_capacity: Optional[int] = None
    spool_free: Optional[int] = None
    oldest_pending_age_s: Optional[float] = None
    is_circuit_open: bool = False
    locked: int = 0
    destinations: Mapping[str, Reading] = field(default_factory=dict)
    """The same for each destination; empty without destinations."""

    @classmethod
    def of_stats(cls, stats: Stats) -> Reading:
        numbers = (stats.accepted, stats.delivered, stats.pending, stats.dead, stats.dropped, stats.in_flight)
        return cls(*numbers, locked=stats.locked)


Point = Tuple[Dict[str, str], float]
"""Attributes and a value."""


def _one(value: Optional[float]) -> List[Point]:
    return [] if value is None else [({}, value)]


class Metric(NamedTuple):
    """One row. `unit` is a UCUM code; `points` is None for the histogram, which is fed batch by batch."""

    name: str
    kind: Kind
    unit: str
    doc: str
    points: Optional[Callable[[Reading], List[Point]]]

    def points_of(self, reading: Reading) -> List[Point]:
        """The points of a reading. With destinations each has the attribute `destination`."""
        assert self.points is not None
        if not reading.destinations:
            return self.points(reading)
        return [
            ({**attributes, "destination": name}, value)
            for name, part in reading.destinations.items()
            for attributes, value in self.points(part)
        ]

    @property
    def prometheus_name(self) -> str:
        """The name that OpenTelemetry's exporters make of it for Prometheus, too."""
        name = self.name.replace(".", "_")
        suffix = {"By": "_bytes", "s": "_seconds"}.get(self.unit, "")
        if not name.endswith(suffix):
            name += suffix
        return f"{name}_total" if self.kind is Kind.COUNTER else name


METRICS: Tuple[Metric, ...] = (
    Metric(
        "honeyhive.events.accepted",
        Kind.COUNTER,
        "{event}",
        "Events that were recorded or adopted.",
        lambda reading: _one(reading.accepted),
    ),
    Metric(
        "honeyhive.events.delivered",
        Kind.COUNTER,
        "{event}",
        "Events that HoneyHive has.",
        lambda reading: _one(reading.delivered),
    ),
    Metric(
        "honeyhive.events.dropped",
        Kind.COUNTER,
        "{event}",
        "Events that were given up, by `reason`.",
        lambda reading: [({"reason": reason}, events) for reason, events in sorted(reading.dropped.items())],
    ),
    Metric(
        "honeyhive.events.dead",
        Kind.UP_DOWN_COUNTER,
        "{event}",
        "Events that HoneyHive refused for good.",
        lambda reading: _one(reading.dead),
    ),
    Metric(
        "honeyhive.events.pending",
        Kind.UP_DOWN_COUNTER,
        "{event}",
        "Events that are not delivered yet.",
        lambda reading: _one(reading.pending),
    ),
    Metric(
        "honeyhive.events.in_flight",
        Kind.UP_DOWN_COUNTER,
        "{call}",
        "Calls that have begun and have no event yet.",
        lambda reading: _one(reading.in_flight),
    ),
    Metric(
        "honeyhive.events.locked",
        Kind.UP_DOWN_COUNTER,
        "{event}",
        "Events of dead processes that are encrypted with a key that is not there.",
        lambda reading: _one(reading.locked),
    ),
    Metric(
        "honeyhive.spool.bytes",
        Kind.UP_DOWN_COUNTER,
        "By",
        "Disk space that the spool takes.",
        lambda reading: _one(reading.spool_bytes),
    ),
    Metric(
        "honeyhive.spool.capacity",
        Kind.UP_DOWN_COUNTER,
        "By",
        "Disk space that the spool may take: `spool_max_bytes`.",
        lambda reading: _one(reading.spool_capacity),
    ),
    Metric(
        "honeyhive.spool.free",
        Kind.UP_DOWN_COUNTER,
        "By",
        "Free space on the spool's disk.",
        lambda reading: _one(reading.spool_free),
    ),
    Metric(
        "honeyhive.delivery.oldest_pending_age",
        Kind.GAUGE,
        "s",
        "Time since the call of the oldest undelivered event began; 0 if there is none.",
        lambda reading: _one(reading.oldest_pending_age_s or 0.0),
    ),
    Metric(
        "honeyhive.delivery.circuit_state",
        Kind.GAUGE,
        "1",
        "0 while batches are sent, 1 while the server takes none and one batch at a time probes.",
        lambda reading: _one(int(reading.is_circuit_open)),
    ),
    Metric(
        "honeyhive.delivery.batch.duration",
        Kind.HISTOGRAM,
        "s",
        "Time that one request with a batch takes, by `result`.",
        None,
    ),
)

HISTOGRAM = METRICS[-1]

BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The bounds of the histogram's buckets."""


def plain(text: str) -> str:
    """A row's text without Markdown."""
    return re.sub("`", "", text)
