"""What the pages ask the database, as functions of an open connection. No query reads all bodies."""

from __future__ import annotations

import sqlite3
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import orjson

from ._filter import Filter, Where, Words, full_text_query, like_conditions, where, words_of
from ._semantics import Event
from ._summary import Summary

PAGE = 50
COUNTED = 10_000
"""Matches are counted up to here."""

_COUNTED_IN_SEARCH = 1_000
_FACETS_SHOWN = 100
_SUMMARY = ", ".join(f"s.{name}" for name in ("seq", *Summary._fields))


class Row(NamedTuple):
    """A summary and the number of its record."""

    seq: int
    summary: Summary


class Cursor(NamedTuple):
    """A place in the list, between two events: the time and number of the event beside it."""

    start_ms: float
    seq: int

    def __str__(self) -> str:
        return f"{self.start_ms!r}_{self.seq}"

    @classmethod
    def read(cls, text: str) -> Optional[Cursor]:
        """The cursor that `str` wrote; None if it is none."""
        start, _, seq = text.partition("_")
        try:
            return cls(float(start), int(seq)) if abs(int(seq)) < 2**63 else None
        except ValueError:
            return None


class EventPage(NamedTuple):
    """A page of events, newest first, and whether there are newer and older ones than it shows."""

    rows: List[Row]
    has_newer: bool
    has_older: bool


class Search(NamedTuple):
    """A filter with its words, ready to be asked for. Without FTS5 the words are looked for in the bodies."""

    where: Where
    tables: str
    order: str
    is_by_arrival: bool
    counted: int


def search_for(meant: Filter, now_ms: float, has_full_text: bool) -> Optional[Search]:
    """How to ask for the events of a filter; None if its words hold nothing that could be found."""
    found = where(meant, now_ms)
    if not meant.q:
        return Search(found, "summaries AS s", "s.start_ms {0}, s.seq {0}", False, COUNTED)
    words: Words = words_of(meant.q)
    if not has_full_text:
        found = Where(
            found.conditions + like_conditions(words).conditions, found.values + like_conditions(words).values
        )
        tables = "summaries AS s JOIN records AS r ON r.seq = s.seq"
        return Search(found, tables, "s.start_ms {0}, s.seq {0}", False, _COUNTED_IN_SEARCH)
    query = full_text_query(words)
    if query is None:
        return None
    found = found.and_("search MATCH ?", query)
    # By arrival, which is nearly the order of the starts: so FTS5 need not find all matches to give the newest.
    return Search(
        found, "search JOIN summaries AS s ON s.seq = search.rowid", "search.rowid {0}", True, _COUNTED_IN_SEARCH
    )


def events(
    connection: sqlite3.Connection,
    search: Optional[Search],
    before: Optional[Cursor] = None,
    after: Optional[Cursor] = None,
    limit: int = PAGE,
) -> EventPage:
    """The newest events, or those just older than *before*, or just newer than *after*."""
    if search is None:
        return EventPage([], False, False)
    found, direction = search.where, "DESC"
    edge = before if before is not None else after
    if edge is not None:
        sign, direction = ("<", "DESC") if before is not None else (">", "ASC")
        if search.is_by_arrival:
            found = found.and_(f"search.rowid {sign} ?", edge.seq)
        else:
            found = found.and_(f"(s.start_ms, s.seq) {sign} (?, ?)", *edge)
    rows = _rows(connection, search.tables, found, search.order.format(direction), limit + 1)
    has_more, rows = len(rows) > limit, rows[:limit]
    if direction == "ASC":
        return EventPage(rows[::-1], has_more, bool(rows))
    return EventPage(rows, before is not None and bool(rows), has_more)


def arrived_since(connection: sqlite3.Connection, search: Optional[Search], seq: int, limit: int) -> List[Row]:
    """The events that were stored after the record *seq*, in the order of their arrival."""
    if search is None:
        return []
    order = "search.rowid ASC" if search.is_by_arrival else "s.seq ASC"
    column = "search.rowid" if search.is_by_arrival else "s.seq"
    return _rows(connection, search.tables, search.where.and_(f"{column} > ?", seq), order, limit)


def count(connection: sqlite3.Connection, search: Optional[Search], meant: Filter) -> Tuple[int, bool]:
    """How many events there are, and whether that is all of them or as far as was counted."""
    if search is None:
        return 0, True
    if meant.is_empty():
        total = connection.execute("SELECT coalesce(sum(events), 0) FROM facets WHERE field = 'status'").fetchone()[0]
        return total, True
    statement = f"SELECT count(*) FROM (SELECT 1 FROM {search.tables} WHERE {search.where} LIMIT ?)"  # noqa: S608
    found = connection.execute(statement, (*search.where.values, search.counted + 1)).fetchone()[0]
    return min(found, search.counted), found <= search.counted


def facets(connection: sqlite3.Connection) -> Dict[str, List[Tuple[str, int]]]:
    """The commonest values of each field that can be chosen from, with how many events have it."""
    found: Dict[str, List[Tuple[str, int]]] = {}
    fields = [name for (name,) in connection.execute("SELECT DISTINCT field FROM facets")]
    for field in fields:
        found[field] = connection.execute(
            "SELECT value, events FROM facets WHERE field = ? ORDER BY events DESC, value LIMIT ?",
            (field, _FACETS_SHOWN),
        ).fetchall()
    return found


def event(connection: sqlite3.Connection, event_id: str) -> Optional[Tuple[Row, Event]]:
    """One event or session with its summary; None if there is none, or it is not summarized yet."""
    rows = _rows(
        connection,
        "records AS r JOIN summaries AS s ON s.seq = r.seq",
        Where(("r.event_id = ?",), (event_id,)),
        "s.seq",
        1,
    )
    if not rows:
        return None
    return rows[0], events_of(connection, rows)[0]


def events_of(connection: sqlite3.Connection, rows: Sequence[Row]) -> List[Event]:
    """The events of these rows, in their order."""
    found: List[Event] = []
    for row in rows:
        body = connection.execute("SELECT body FROM records WHERE seq = ?", (row.seq,)).fetchone()
        found.append(orjson.loads(body[0]))
    return found


def group(connection: sqlite3.Connection, id_: str, limit: int) -> List[Row]:
    """The events of the trace or session *id_*, by their start."""
    found: Dict[int, Row] = {}
    for column in ("session_id", "trace_id"):
        conditions = Where((f"s.{column} = ?", "s.event_type <> 'session'"), (id_,))
        for row in _rows(connection, "summaries AS s", conditions, "s.start_ms, s.seq", limit):
            found[row.seq] = row
    return sorted(found.values(), key=lambda row: (row.summary.start_ms, row.seq))[:limit]


def session_name(connection: sqlite3.Connection, session_id: str) -> Optional[str]:
    """The name of a session that was started, None of any other."""
    return session_names(connection, [session_id]).get(session_id)


def session_names(connection: sqlite3.Connection, session_ids: Sequence[str]) -> Dict[str, str]:
    """The names of those sessions that were started and have one."""
    wanted = list(dict.fromkeys(session_ids))
    if not wanted:
        return {}
    statement = (
        "SELECT r.event_id, s.name FROM records AS r JOIN summaries AS s ON s.seq = r.seq "  # noqa: S608
        f"WHERE r.event_type = 'session' AND r.event_id IN ({', '.join('?' * len(wanted))})"
    )
    return {id_: name for id_, name in connection.execute(statement, wanted) if name not in ("unknown", id_)}


def last_seq(connection: sqlite3.Connection) -> int:
    """The number of the newest record that is summarized."""
    value: int = connection.execute("SELECT value FROM progress WHERE name = 'summarized'").fetchone()[0]
    return value


def last_searchable(connection: sqlite3.Connection) -> int:
    """The number of the newest record that a search finds."""
    value: int = connection.execute("SELECT min(value) FROM progress WHERE name <> 'extraction'").fetchone()[0]
    return value


def _rows(connection: sqlite3.Connection, tables: str, found: Where, order: str, limit: int) -> List[Row]:
    statement = f"SELECT {_SUMMARY} FROM {tables} WHERE {found} ORDER BY {order} LIMIT ?"  # noqa: S608
    result: List[Any] = connection.execute(statement, (*found.values, limit)).fetchall()
    return [Row(row[0], Summary(*row[1:])) for row in result]
