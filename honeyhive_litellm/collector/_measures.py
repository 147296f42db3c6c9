"""Numbers over many events for the overview and the delivery page, as functions of an open connection.

Sums are exact. Percentiles are those of a sample once there are many events: to sort them all takes too long.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

from ._filter import Filter, Where, time_range, where
from ._migrations import MINUTE_MS

BUCKETS = 40
_SAMPLE = 3_000
_MODELS_SHOWN = 12
_REPEATED_SHOWN = 100
_STEPS_MS = (
    1e3, 2e3, 5e3, 10e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 10800e3, 21600e3, 43200e3,
    86400e3, 172800e3, 604800e3, 1209600e3, 2592000e3,
)  # fmt: skip
_SUMS = """
count(*), coalesce(sum(s.status <> 'success'), 0), coalesce(sum(s.prompt_tokens), 0),
coalesce(sum(s.completion_tokens), 0), coalesce(sum(s.cost), 0.0)
"""


class Sums(NamedTuple):
    """What so many calls used; `errors` are all that did not succeed."""

    calls: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(
            self.calls + other.calls,
            self.errors + other.errors,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost + other.cost,
        )


class Percentiles(NamedTuple):
    """The median and the slowest twentieth and hundredth, in milliseconds; None where nothing was measured."""

    p50: Optional[float] = None
    p95: Optional[float] = None
    p99: Optional[float] = None


class ModelRow(NamedTuple):
    """One model's line of the overview."""

    model: Optional[str]
    sums: Sums
    durations: Percentiles
    first_tokens: Percentiles


class Bucket(NamedTuple):
    """One interval of the overview, from `start_ms` on."""

    start_ms: float
    sums: Sums
    durations: Percentiles
    first_tokens: Percentiles


class Overview(NamedTuple):
    """All of it: one row a model, one bucket an interval of *step_ms*; a sample of one event in *sampled*."""

    sums: Sums
    durations: Percentiles
    first_tokens: Percentiles
    models: List[ModelRow]
    buckets: List[Bucket]
    step_ms: float
    sampled: int


def overview(connection: sqlite3.Connection, meant: Filter, now_ms: float) -> Overview:
    """The overview of the calls of a filter, from the minute on in which it begins; its words are not heeded.

    A chain's attempts count, the chain does not.
    """
    since_ms, until_ms = time_range(meant, now_ms)
    whole = replace(meant, last=None, from_=None if since_ms is None else since_ms // MINUTE_MS * MINUTE_MS)
    found = where(whole, now_ms).and_("s.event_type <> 'chain'")
    start_ms, end_ms = _range(connection, found)
    step_ms = next((step for step in _STEPS_MS if (end_ms - start_ms) / step < BUCKETS), (end_ms - start_ms) / BUCKETS)
    first_ms = start_ms // step_ms * step_ms
    starts = [first_ms + at * step_ms for at in range(int((end_ms - first_ms) / step_ms) + 1)][: BUCKETS + 2]
    if until_ms is None and step_ms % MINUTE_MS == 0 and replace(whole, from_=None, q="").is_empty():
        used = _by_minutes(connection, start_ms, starts, step_ms)
    else:
        used = [
            _by_model(connection, found.and_("s.start_ms >= ? AND s.start_ms < ?", at, at + step_ms)) for at in starts
        ]
    series = [_total(models.values()) for models in used]
    sums = _total(series)
    models: Dict[Optional[str], Sums] = {}
    for part in used:
        for model, addend in part.items():
            models[model] = models.get(model, Sums()).plus(addend)
    busiest = sorted(models.items(), key=lambda row: -row[1].calls)[:_MODELS_SHOWN]
    sample, every = _sample(connection, found, sums.calls)
    by_bucket, by_model, everything = _grouped(sample, first_ms, step_ms)
    nothing = (Percentiles(), Percentiles())
    return Overview(
        sums,
        *everything.percentiles(),
        [
            ModelRow(model, total, *(by_model[model].percentiles() if model in by_model else nothing))
            for model, total in busiest
        ],
        [
            Bucket(at, total, *(by_bucket[number].percentiles() if number in by_bucket else nothing))
            for number, (at, total) in enumerate(zip(starts, series))
        ],
        step_ms,
        every,
    )


def _range(connection: sqlite3.Connection, found: Where) -> Tuple[float, float]:
    statement = f"SELECT s.start_ms FROM summaries AS s WHERE {found} ORDER BY s.start_ms {{}} LIMIT 1"  # noqa: S608
    first = connection.execute(statement.format("ASC"), found.values).fetchone()
    last = connection.execute(statement.format("DESC"), found.values).fetchone()
    return (0.0, 0.0) if first is None else (first[0], last[0])


def _by_model(connection: sqlite3.Connection, found: Where) -> Dict[Optional[str], Sums]:
    statement = (
        f"SELECT s.model, {_SUMS} FROM summaries AS s INDEXED BY summaries_by_start "  # noqa: S608
        f"WHERE {found} GROUP BY s.model"
    )
    return {row[0]: Sums(*row[1:]) for row in connection.execute(statement, found.values)}


def _by_minutes(
    connection: sqlite3.Connection, since_ms: float, starts: List[float], step_ms: float
) -> List[Dict[Optional[str], Sums]]:
    """The same of every event since a minute, from the sums of the minutes."""
    step, first = int(step_ms // MINUTE_MS), int(starts[0] // MINUTE_MS)
    rows = connection.execute(
        "SELECT (minute - ?) / ?, model, sum(calls), sum(errors), sum(prompt_tokens), sum(completion_tokens), "
        "sum(cost) "
        "FROM minutes WHERE minute >= ? AND minute < ? GROUP BY 1, 2",
        (first, step, int(since_ms // MINUTE_MS), first + step * len(starts)),
    )
    used: List[Dict[Optional[str], Sums]] = [{} for _ in starts]
    for bucket, model, *sums in rows:
        used[bucket][model or None] = Sums(*sums)
    return used


def _total(parts: Iterable[Sums]) -> Sums:
    total = Sums()
    for part in parts:
        total = total.plus(part)
    return total


_Sampled = Tuple[float, Optional[str], Optional[float], Optional[float]]


def _sample(connection: sqlite3.Connection, found: Where, calls: int) -> Tuple[List[_Sampled], int]:
    """Start, model, duration and time to the first token of one call in so many, which their number picks."""
    every = max(1, -(-calls // _SAMPLE))
    columns = "s.start_ms, s.model, s.duration_ms, s.first_token_ms"
    last = connection.execute("SELECT coalesce(max(seq), 0) FROM summaries").fetchone()[0]
    if calls <= last // every:  # few of all: look at each
        found = found.and_("s.seq % ? = 0", every)
        statement = f"SELECT {columns} FROM summaries AS s INDEXED BY summaries_by_start WHERE {found}"  # noqa: S608
        return connection.execute(statement, found.values).fetchall(), every
    picked = "WITH RECURSIVE picked(seq) AS (SELECT ? UNION ALL SELECT seq + ? FROM picked WHERE seq + ? <= ?) "
    statement = f"{picked}SELECT {columns} FROM picked CROSS JOIN summaries AS s ON s.seq = picked.seq WHERE {found}"  # noqa: S608
    return connection.execute(statement, (every, every, every, last, *found.values)).fetchall(), every


class _Measured:
    """The durations and the times to the first token of some calls."""

    __slots__ = ("durations", "firsts")

    def __init__(self) -> None:
        self.durations: List[float] = []
        self.firsts: List[float] = []

    def percentiles(self) -> Tuple[Percentiles, Percentiles]:
        return percentiles(self.durations), percentiles(self.firsts)


def _grouped(
    sample: List[_Sampled], first_ms: float, step_ms: float
) -> Tuple[Dict[int, _Measured], Dict[Optional[str], _Measured], _Measured]:
    """The sample by interval, by model, and as a whole."""
    by_bucket: Dict[int, _Measured] = {}
    by_model: Dict[Optional[str], _Measured] = {}
    everything = _Measured()
    for start_ms, model, duration_ms, first_token_ms in sample:
        bucket = int((start_ms - first_ms) // step_ms)
        if bucket not in by_bucket:
            by_bucket[bucket] = _Measured()
        if model not in by_model:
            by_model[model] = _Measured()
        for group in (by_bucket[bucket], by_model[model], everything):
            if duration_ms is not None:
                group.durations.append(duration_ms)
            if first_token_ms is not None:
                group.firsts.append(first_token_ms)
    return by_bucket, by_model, everything


def percentiles(values: List[float]) -> Percentiles:
    """The nearest ranks: each is one of the values."""
    if not values:
        return Percentiles()
    ordered = sorted(values)
    return Percentiles(*(ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95, 0.99)))


class Repeated(NamedTuple):
    """An event that was received more than once."""

    event_id: str
    name: Optional[str]
    project: Optional[str]
    receipts: int


class Received(NamedTuple):
    """What arrived: events, receipts, those received more than once (the newest of them), events of each project."""

    events: int
    receipts: int
    repeated: int
    newest_repeated: List[Repeated]
    projects: List[Tuple[str, int]]


def received(connection: sqlite3.Connection) -> Received:
    """What the delivery page says of this server's own database."""
    one = connection.execute
    newest = one(
        "SELECT r.event_id, s.name, s.project, r.receipts FROM records AS r INDEXED BY repeated "
        "LEFT JOIN summaries AS s ON s.seq = r.seq WHERE r.receipts > 1 ORDER BY r.seq DESC LIMIT ?",
        (_REPEATED_SHOWN,),
    ).fetchall()
    return Received(
        one("SELECT coalesce(sum(events), 0) FROM facets WHERE field = 'status'").fetchone()[0],
        one("SELECT coalesce(max(seq), 0) FROM receipts").fetchone()[0],
        one("SELECT count(*) FROM records INDEXED BY repeated WHERE receipts > 1").fetchone()[0],
        [Repeated(*row) for row in newest],
        one("SELECT value, events FROM facets WHERE field = 'project' ORDER BY events DESC LIMIT 100").fetchall(),
    )
