"""The two pages of numbers: the overview, and what became of events on their way."""

from __future__ import annotations

import time
from typing import Any, Callable, List, Optional, Tuple

from honeyhive_litellm._errors import HoneyHiveError
from honeyhive_litellm.collector import _measures as measures
from honeyhive_litellm.collector._database import Database
from honeyhive_litellm.collector._filter import Filter, read_filter
from honeyhive_litellm.collector._measures import Bucket
from honeyhive_litellm.collector._refusals import Refusals
from honeyhive_litellm.collector.spool_view import ReadSpool, SpoolView

from . import charts, formats
from .charts import Column, Line
from .pages import READ_TIMEOUT_S, Ask, Reply, frame
from .rendering import render

_SPANS_OF_TIME = ((None, "All time"), ("15m", "15 min"), ("1h", "1 hour"), ("24h", "24 hours"), ("7d", "7 days"))
_DAY_MS = 86_400_000.0


class NumberPages:
    """The overview and the delivery page. *read_spool* reads the spool that belongs to this server, if any."""

    def __init__(
        self, database: Database, refusals: Refusals, read_spool: Optional[ReadSpool], since_ms: float
    ) -> None:
        self._database = database
        self._refusals = refusals
        self._read_spool = read_spool
        self._since_ms = since_ms

    def overview(self, ask: Ask) -> Reply:
        """Calls, errors, tokens, cost and speed over time and by model."""
        meant, problems = read_filter(ask.query)
        with self._database.read(READ_TIMEOUT_S) as connection:
            found = measures.overview(connection, meant, time.time() * 1000.0)
        spans = [
            (label, meant.query(last=span, q="", from_=None, to=None), meant.last == span)
            for span, label in _SPANS_OF_TIME
        ]
        values = {
            "overview": found,
            "meant": meant,
            "problems": problems,
            "spans": spans,
            "charts": _charts(meant, found.buckets, found.step_ms),
            "query": meant.query(q=""),
        }
        return Reply(render("overview.html", **frame(ask, "Overview", "overview"), **values))

    def delivery(self, ask: Ask) -> Reply:
        """What was received twice or refused, and what a spool still holds."""
        with self._database.read(READ_TIMEOUT_S) as connection:
            found = measures.received(connection)
        spool, trouble = self._spool()
        values = {
            "received": found,
            "refused": self._refusals.newest_first(),
            "since_ms": self._since_ms,
            "has_spool": self._read_spool is not None,
            "spool": spool,
            "trouble": trouble,
        }
        return Reply(render("delivery.html", **frame(ask, "Delivery", "delivery"), **values))

    def _spool(self) -> Tuple[Optional[SpoolView], str]:
        if self._read_spool is None:
            return None, ""
        try:
            return self._read_spool(), ""
        except (HoneyHiveError, OSError) as error:
            return None, str(error)


def _charts(meant: Filter, buckets: List[Bucket], step_ms: float) -> List[Tuple[str, str, Any]]:
    """Each chart: its heading, what its colours mean, and itself."""
    long = step_ms * len(buckets) > _DAY_MS
    labels = [_label(bucket.start_ms, long) for bucket in buckets]

    places = [
        (
            "/?" + meant.query(from_=bucket.start_ms, to=bucket.start_ms + step_ms - 1, last=None, q=""),
            formats.full_time(bucket.start_ms)[:16],
        )
        for bucket in buckets
    ]

    def column(at: int, values: List[float], text: str) -> Column:
        href, time_text = places[at]
        return Column(href, f"{time_text}: {text}", values)

    def stacked(
        heading: str, names: List[str], read: Callable[[Bucket], List[float]], show: Callable[[float], str]
    ) -> Any:
        data = []
        for at, bucket in enumerate(buckets):
            values = read(bucket)
            text = ", ".join(f"{show(value)} {name}" for name, value in zip(names, values))
            data.append(column(at, values, text))
        classes = [name.replace(" ", "-") for name in names]
        return charts.columns(heading, classes, data, labels, show, is_counted=show is formats.short_count)

    def speed(heading: str, which: str) -> Any:
        found = [getattr(bucket, which) for bucket in buckets]
        lines = [Line(name, [getattr(values, name) for values in found]) for name in ("p50", "p95", "p99")]
        columns = []
        for at, values in enumerate(found):
            text = ", ".join(f"{name} {formats.duration(value)}" for name, value in values._asdict().items())
            columns.append(column(at, [], text))
        return charts.lines(heading, lines, columns, labels, formats.duration)

    calls = stacked(
        "Calls", ["successful", "not successful"],
        lambda bucket: [bucket.sums.calls - bucket.sums.errors, bucket.sums.errors], formats.short_count,
    )  # fmt: skip
    tokens = stacked(
        "Tokens", ["prompt", "completion"],
        lambda bucket: [bucket.sums.prompt_tokens, bucket.sums.completion_tokens], formats.short_count,
    )  # fmt: skip
    cost = stacked("Cost", ["cost"], lambda bucket: [bucket.sums.cost], formats.dollars)
    return [
        ("Calls", "successful|not-successful", calls),
        ("Cost", "", cost),
        ("Tokens", "prompt|completion", tokens),
        ("Duration", "p50|p95|p99", speed("Duration", "durations")),
        ("Time to first token", "p50|p95|p99", speed("Time to first token", "first_tokens")),
    ]


def _label(start_ms: float, long: bool) -> str:
    at = formats.moment(start_ms)
    return "" if at is None else at.strftime("%d %b %H:%M" if long else "%H:%M")
