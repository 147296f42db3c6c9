"""Exports: the events of a filter as JSON lines, CSV or text, one event or trace as JSON or Markdown.

They are read in helpings of some hundred, newest first, so that an export of any size takes little memory.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Callable, Dict, Iterator, List, Optional

import orjson

from honeyhive_litellm.collector import _queries as queries
from honeyhive_litellm.collector._database import Database
from honeyhive_litellm.collector._filter import Filter
from honeyhive_litellm.collector._index import Index
from honeyhive_litellm.collector._queries import Cursor, Row

from .export import csv_head, csv_line, event_line, event_markdown, trace_markdown
from .pages import TRACE_LIMIT
from .trace import trace

_HELPING = 200

CONTENT_TYPES: Dict[str, str] = {
    "jsonl": "application/x-ndjson",
    "rows": "application/x-ndjson",
    "csv": "text/csv",
    "txt": "text/plain",
    "json": "application/json",
    "md": "text/markdown",
}


class Downloads:
    """What can be taken out of one database."""

    def __init__(self, database: Database, index: Index) -> None:
        self._database = database
        self._index = index

    def events(self, meant: Filter, form: str, limit: Optional[int] = None) -> Iterator[bytes]:
        """At most *limit* events of a filter, newest first: as jsonl or csv, or their summaries as rows or txt."""
        self._index.catch_up(summaries_only=True)
        if form == "csv":
            yield csv_head().encode()
        search = queries.search_for(meant, time.time() * 1000.0, self._index.has_full_text)
        before, left = None, 2**62 if limit is None else limit
        while left > 0:
            with self._database.read() as connection:
                page = queries.events(connection, search, before=before, limit=min(_HELPING, left))
                chunk = b"".join(_FORMS[form](connection, page.rows))
            yield chunk
            left -= len(page.rows)
            if not page.has_older:
                return
            before = Cursor(page.rows[-1].summary.start_ms, page.rows[-1].seq)

    def line(self, row: Row, form: str) -> str:
        """One event in a form of lines, without the line's end."""
        with self._database.read() as connection:
            return b"".join(_FORMS[form](connection, [row])).decode("utf-8", "replace").rstrip("\r\n")

    def event(self, event_id: str, form: str) -> Optional[bytes]:
        """One event as json or md; None if there is none."""
        self._index.catch_up(summaries_only=True)
        with self._database.read() as connection:
            found = queries.event(connection, event_id)
        if found is None:
            return None
        row, event = found
        if form == "md":
            return event_markdown(row.summary, event).encode("utf-8", "replace")
        return orjson.dumps(event, option=orjson.OPT_INDENT_2)

    def trace(self, id_: str, form: str) -> Optional[bytes]:
        """A trace or session as json - the events with their contents - or md; None if there is none."""
        self._index.catch_up(summaries_only=True)
        with self._database.read() as connection:
            rows = queries.group(connection, id_, TRACE_LIMIT)
            if not rows:
                return None
            if form == "md":
                return trace_markdown(f"Trace {id_}", trace(rows)).encode("utf-8", "replace")
            events = queries.events_of(connection, rows)
        return orjson.dumps({"id": id_, "events": events}, option=orjson.OPT_INDENT_2)


def _json_lines(connection: sqlite3.Connection, rows: List[Row]) -> Iterator[bytes]:
    for event in queries.events_of(connection, rows):
        yield orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


def _csv(_connection: sqlite3.Connection, rows: List[Row]) -> Iterator[bytes]:
    for row in rows:
        yield csv_line(row.summary).encode("utf-8", "replace")


def _text(_connection: sqlite3.Connection, rows: List[Row]) -> Iterator[bytes]:
    for row in rows:
        yield f"{event_line(row.summary)}\n".encode("utf-8", "replace")


def _row_lines(_connection: sqlite3.Connection, rows: List[Row]) -> Iterator[bytes]:
    for row in rows:
        yield orjson.dumps(row.summary._asdict(), option=orjson.OPT_APPEND_NEWLINE)


_FORMS: Dict[str, Callable[[sqlite3.Connection, List[Row]], Iterator[bytes]]] = {
    "jsonl": _json_lines,
    "rows": _row_lines,
    "csv": _csv,
    "txt": _text,
}
