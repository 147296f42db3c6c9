"""Keeps what the pages read - summaries, tags, facets, full text - up with the records, behind the writers' backs.

To store an event takes less than to index it, so a record is indexed a moment after it was stored: at once while the
server has little to do, and in small helpings while events keep pouring in, so that these are not held up. Everything
here is made from the records and could be made again. `progress` says how far it reaches, `stale` what has changed
since; both change in the transaction that indexes, so that a crash leaves nothing half done.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import Counter
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import orjson

from honeyhive_litellm._log_codes import LogCode

from ._database import Database
from ._migrations import MINUTE_MS, has_full_text
from ._summary import EXTRACTION, FACETS, Summary, search_text, summarize, tags_of

_log = logging.getLogger("honeyhive_litellm.collector")

_HELPING = 100
"""Records in one transaction: some milliseconds in which nothing can be stored."""

_QUIET_S = 0.1
_PATIENCE_S = 0.2
"""How long a record waits for a quiet moment before it is indexed all the same."""

_BUSY_RATE = 1500.0
_BUSY_REST = 15.0
"""At more than so many events a second, the index rests so many times longer than it works."""

_COLUMNS = ("seq", *Summary._fields)
_INSERT = f"INSERT OR REPLACE INTO summaries ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_INSERT_TAG = "INSERT OR IGNORE INTO tags VALUES (?, ?)"
_COUNT_FACET = """
INSERT INTO facets VALUES (?, ?, ?) ON CONFLICT (field, value) DO UPDATE SET events = events + excluded.events
"""
_COUNT_MINUTE = """
INSERT INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (minute, model) DO UPDATE SET
    calls = calls + excluded.calls, errors = errors + excluded.errors,
    prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    completion_tokens = completion_tokens + excluded.completion_tokens, cost = cost + excluded.cost
"""
_NEXT = "SELECT seq, received_at, body FROM records WHERE seq > ? ORDER BY seq LIMIT ?"
_STALE = """
SELECT s.seq, r.received_at, s.body, r.body FROM stale AS s JOIN records AS r ON r.seq = s.seq ORDER BY s.seq LIMIT ?
"""
_LAST = "SELECT coalesce(max(seq), 0) FROM records"


class Lag(NamedTuple):
    """How many records are stored and not yet summarized, and not yet found by a search."""

    summaries: int
    search: int


class Index:
    """The index of one database. Its steps may be called from any thread; `Indexer` is the thread that does."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.write() as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            self.has_full_text = "search" in tables and has_full_text(connection)
            progress = dict(connection.execute("SELECT name, value FROM progress"))
            if progress.get("extraction") != EXTRACTION:
                _forget(connection, self.has_full_text)
                connection.execute("INSERT OR REPLACE INTO progress VALUES ('extraction', ?)", (EXTRACTION,))

    def lag(self) -> Lag:
        """How far the index is behind."""
        with self._database.read() as connection:
            progress = dict(connection.execute("SELECT name, value FROM progress"))
            last = connection.execute(_LAST).fetchone()[0]
        behind = last - progress["searchable"] if self.has_full_text else 0
        return Lag(last - progress["summarized"], behind)

    def catch_up(self, summaries_only: bool = False, most: int = 2**62) -> None:
        """Index up to *most* records now."""
        done = 0
        while done < most:
            step = self.summarize() or (0 if summaries_only else self.make_searchable())
            if not step:
                return
            done += step

    def summarize(self, most: int = _HELPING) -> int:
        """Summarize the next records, and first those that have changed; return how many there were."""
        with self._database.write() as connection:
            stale = connection.execute(_STALE, (most,)).fetchall()
            if stale:
                self._renew(connection, stale)
                return len(stale)
            done = _progress(connection, "summarized")
            rows = connection.execute(_NEXT, (done, most)).fetchall()
            if rows:
                _insert(connection, [(seq, received, orjson.loads(body), len(body)) for seq, received, body in rows])
                _set_progress(connection, "summarized", rows[-1][0])
            return len(rows)

    def make_searchable(self, most: int = _HELPING) -> int:
        """Add the next summarized records to the full-text index; return how many there were."""
        if not self.has_full_text:
            return 0
        with self._database.write() as connection:
            done = _progress(connection, "searchable")
            most = min(most, _progress(connection, "summarized") - done)
            rows = connection.execute(_NEXT, (done, max(0, most))).fetchall()
            if rows:
                texts = [(seq, search_text(orjson.loads(body))) for seq, _, body in rows]
                connection.executemany("INSERT INTO search (rowid, text) VALUES (?, ?)", texts)
                _set_progress(connection, "searchable", rows[-1][0])
            return len(rows)

    def clear(self) -> None:
        """Delete every event, session and receipt, and all that was made from them."""
        with self._database.write() as connection:
            _forget(connection, self.has_full_text)
            for table in ("records", "receipts"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - one of two names

    def _renew(self, connection: sqlite3.Connection, stale: List[Tuple[int, float, bytes, bytes]]) -> None:
        """Index changed records again. The full-text index forgets a text only if it is told the whole of it."""
        numbers = [(seq,) for seq, *_ in stale]
        searchable = _progress(connection, "searchable") if self.has_full_text else 0
        for seq, received, old_body, _ in stale:
            old = orjson.loads(old_body)
            old_summary = summarize(old, received, 0)
            _count_facets(connection, old_summary, tags_of(old), -1)
            connection.executemany(
                _COUNT_MINUTE, [(*key, *sums) for key, sums in _minutes_of([old_summary], -1).items()]
            )
            if seq <= searchable:
                values = (seq, search_text(old))
                connection.execute("INSERT INTO search (search, rowid, text) VALUES ('delete', ?, ?)", values)
        connection.executemany("DELETE FROM tags WHERE seq = ?", numbers)
        fresh = [(seq, received, orjson.loads(body), len(body)) for seq, received, _, body in stale]
        _insert(connection, fresh)
        for seq, _, event, _ in fresh:
            if seq <= searchable:
                connection.execute("INSERT INTO search (rowid, text) VALUES (?, ?)", (seq, search_text(event)))
        connection.executemany("DELETE FROM stale WHERE seq = ?", numbers)
        connection.execute("DELETE FROM facets WHERE events <= 0")
        connection.execute("DELETE FROM minutes WHERE calls <= 0")


def _insert(connection: sqlite3.Connection, rows: List[Tuple[int, float, Dict[str, Any], int]]) -> None:
    facets: Counter[Tuple[str, str]] = Counter()
    fresh: List[Tuple[int, Summary]] = []
    tags: List[Tuple[str, int]] = []
    for seq, received, event, size in rows:
        summary, own_tags = summarize(event, received, size), tags_of(event)
        fresh.append((seq, summary))
        tags.extend((tag, seq) for tag in own_tags)
        facets.update(_facets_of(summary, own_tags))
    connection.executemany(_INSERT, [(seq, *summary) for seq, summary in fresh])
    connection.executemany(_INSERT_TAG, tags)
    connection.executemany(_COUNT_FACET, [(*key, events) for key, events in facets.items()])
    minutes = _minutes_of([summary for _, summary in fresh], 1)
    connection.executemany(_COUNT_MINUTE, [(*key, *sums) for key, sums in minutes.items()])


def _minutes_of(summaries: List[Summary], sign: int) -> Dict[Tuple[int, str], List[float]]:
    """What these calls add to the sums of each minute and model, or take from it."""
    minutes: Dict[Tuple[int, str], List[float]] = {}
    for one in summaries:
        if one.event_type in ("session", "chain"):
            continue
        sums = minutes.setdefault((int(one.start_ms // MINUTE_MS), one.model or ""), [0, 0, 0, 0, 0.0])
        added = (1, one.status != "success", one.prompt_tokens or 0, one.completion_tokens or 0, one.cost or 0.0)
        for at, value in enumerate(added):
            sums[at] += sign * value
    return minutes


def _facets_of(summary: Summary, tags: List[str]) -> List[Tuple[str, str]]:
    if summary.event_type == "session":
        return []
    values = ((field, getattr(summary, field)) for field in FACETS)
    return [*((field, value) for field, value in values if value is not None), *(("tag", tag) for tag in tags)]


def _count_facets(connection: sqlite3.Connection, summary: Summary, tags: List[str], events: int) -> None:
    connection.executemany(_COUNT_FACET, [(*key, events) for key in _facets_of(summary, tags)])


def _forget(connection: sqlite3.Connection, has_search: bool) -> None:
    """Empty the index."""
    for table in ("summaries", "tags", "facets", "minutes", "stale"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - one of these names
    if has_search:
        connection.execute("INSERT INTO search (search) VALUES ('delete-all')")
    connection.execute("UPDATE progress SET value = 0 WHERE name IN ('summarized', 'searchable')")


def _progress(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute("SELECT value FROM progress WHERE name = ?", (name,)).fetchone()[0]
    return value


def _set_progress(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute("UPDATE progress SET value = ? WHERE name = ?", (value, name))


class Indexer:
    """The thread that indexes what `notify` announces. *on_indexed* is called on it after each helping."""

    def __init__(self, index: Index, on_indexed: Callable[[], None] = lambda: None) -> None:
        self._index = index
        self._on_indexed = on_indexed
        self._news = threading.Condition()
        self._stored = 0
        self._last_stored_at = 0.0
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="collector-index", daemon=True)

    def start(self) -> None:
        """Index what there is, and from now on what comes."""
        self._thread.start()

    def notify(self, events: int = 1) -> None:
        """Announce that *events* were stored or changed."""
        with self._news:
            self._stored += events
            self._last_stored_at = time.monotonic()
            self._news.notify()

    def close(self) -> None:
        """End the thread after the helping that it is at."""
        with self._news:
            self._is_closing = True
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._is_closing:
            try:
                has_more = self._step()
            except (sqlite3.Error, RuntimeError) as error:  # a full disk, or a database that was closed
                if not self._is_closing:
                    _log.warning(
                        "the collector's index stands still: %s",
                        error,
                        extra={"event_code": LogCode.COLLECTOR_INDEX_STALLED.code},
                    )
                has_more = False
                self._pause(1.0)
            if not has_more:
                with self._news:
                    self._news.wait_for(lambda: self._stored or self._is_closing)

    def _step(self) -> bool:
        """Wait for a quiet moment, index one helping, and return whether there may be more to do."""
        rate = self._wait_for_quiet()
        started = time.monotonic()
        done = self._index.summarize()
        if not done and rate < _BUSY_RATE:
            done = self._index.make_searchable()
        if done:
            self._on_indexed()
        if rate >= _BUSY_RATE:
            self._pause((time.monotonic() - started) * _BUSY_REST)
            return True
        return bool(done)

    def _wait_for_quiet(self) -> float:
        """Return when nothing was stored for a moment, or after some time; and how many came a second meanwhile."""
        began = time.monotonic()
        with self._news:
            self._stored = 0
            while not self._is_closing:
                now = time.monotonic()
                quiet_at = self._last_stored_at + _QUIET_S
                if now >= quiet_at or now - began >= _PATIENCE_S:
                    break
                self._news.wait(min(quiet_at - now, began + _PATIENCE_S - now))
            waited = time.monotonic() - began
            return self._stored / waited if waited >= _PATIENCE_S else 0.0

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._news:
            self._news.wait_for(lambda: self._is_closing, max(0.0, deadline - time.monotonic()))
