"""The index of the pages: it follows the records, whatever becomes of them, and can be made again."""

from __future__ import annotations

import logging
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest

from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm.collector import _index, _measures, _migrations
from honeyhive_litellm.collector import _queries as queries
from honeyhive_litellm.collector._filter import Filter
from honeyhive_litellm.collector._index import Index, Indexer, Lag
from honeyhive_litellm.collector._measures import overview
from honeyhive_litellm.collector._store import Store

from ..waiting import until


def event(text: str, event_id: Optional[str] = None, **metadata: Any) -> Dict[str, Any]:
    id_ = event_id or str(uuid.uuid4())
    return {
        "event_id": id_,
        "session_id": id_,
        "event_type": "model",
        "inputs": {"chat_history": [{"role": "user", "content": text}]},
        "metadata": {"status": "success", **metadata},
    }


def found(store: Store, index: Index, **meant: Any) -> List[str]:
    """The questions of the events that a filter finds."""
    search = queries.search_for(Filter(**meant), time.time() * 1000, index.has_full_text)
    with store.database.read() as connection:
        return [str(row.summary.question) for row in queries.events(connection, search).rows]


def facets(store: Store) -> Dict[str, Any]:
    with store.database.read() as connection:
        return {field: dict(values) for field, values in queries.facets(connection).items()}


def test_records_are_summarized_counted_and_found() -> None:
    store = Store()
    index = Index(store.database)
    store.add([event("bees make honey", project="shop", tags=["a", "b"]), event("cats sleep", tags=["a"])], 1.0)
    assert index.lag() == Lag(2, 2 if index.has_full_text else 0)
    index.catch_up()
    assert index.lag() == Lag(0, 0)
    assert found(store, index, q="honey") == ["bees make honey"]
    assert found(store, index, q="hon") == ["bees make honey"]
    assert found(store, index, q='"make honey" -cats') == ["bees make honey"]
    assert found(store, index, tag=("b",)) == ["bees make honey"]
    assert facets(store) == {
        "kind": {"model": 2},
        "project": {"shop": 1},
        "status": {"success": 2},
        "tag": {"a": 2, "b": 1},
    }
    store.close()


@pytest.mark.parametrize("again", ["add", "put"])
def test_a_changed_event_is_found_by_what_it_says_now(again: str) -> None:
    store = Store()
    index = Index(store.database)
    first = event("old words", project="one", tags=["x"])
    store.add([first, event("another")], 1.0)
    index.catch_up()
    changed = event("new words", first["event_id"], project="two")
    getattr(store, again)([changed], 2.0)
    getattr(store, again)([event("newest words", first["event_id"], project="three")], 3.0)
    index.catch_up()
    assert found(store, index, q="old") == [] and found(store, index, q="new words") == ["newest words"]
    assert found(store, index, tag=("x",)) == []
    assert facets(store)["project"] == {"three": 1} and facets(store)["status"] == {"success": 2}
    store.close()


@pytest.mark.parametrize("q", ["", "honey"])
def test_pages_of_a_list_and_of_a_search_lead_on_and_back(q: str) -> None:
    store = Store()
    index = Index(store.database)
    store.add([{**event(f"honey {at}"), "start_time": 1000.0 + at} for at in range(5)], 1.0)
    index.catch_up()
    search = queries.search_for(Filter(q=q), 1.0, index.has_full_text)

    def page(**edge: Any) -> queries.EventPage:
        with store.database.read() as connection:
            return queries.events(connection, search, limit=2, **edge)

    def cursor(row: queries.Row) -> queries.Cursor:
        return queries.Cursor(row.summary.start_ms, row.seq)

    pages = [page()]
    while pages[-1].has_older:
        pages.append(page(before=cursor(pages[-1].rows[-1])))
    shown = [[str(row.summary.question)[-1] for row in one.rows] for one in pages]
    assert shown == [["4", "3"], ["2", "1"], ["0"]]
    assert [one.has_newer for one in pages] == [False, True, True]
    assert page(after=cursor(pages[-1].rows[0])).rows == pages[1].rows
    assert page(after=cursor(pages[1].rows[0])) == queries.EventPage(pages[0].rows, False, True)
    store.close()


@pytest.mark.parametrize("q", ["-honey", "***"])
def test_a_search_for_nothing_that_could_be_found_finds_nothing(q: str) -> None:
    store = Store()
    index = Index(store.database)
    store.add([event("honey")], 1.0)
    index.catch_up()
    if index.has_full_text:
        search = queries.search_for(Filter(q=q), 1.0, True)
        with store.database.read() as connection:
            assert queries.events(connection, search) == queries.EventPage([], False, False)
            assert queries.arrived_since(connection, search, 0, 10) == []
            assert queries.count(connection, search, Filter(q=q)) == (0, True)
    store.close()


def test_what_changes_before_a_search_can_find_it_is_found_by_what_it_says_now() -> None:
    store = Store()
    index = Index(store.database)
    first = event("old words")
    store.add([first], 1.0)
    index.catch_up(summaries_only=True)
    store.put([event("new words", first["event_id"])], 2.0)
    index.catch_up()
    assert found(store, index, q="old") == [] and found(store, index, q="new") == ["new words"]
    store.close()


def test_the_index_catches_up_with_so_many_records_and_no_more() -> None:
    store = Store()
    index = Index(store.database)
    store.add([event(str(number)) for number in range(250)], 1.0)
    index.catch_up(summaries_only=True, most=200)
    assert index.lag().summaries == 50
    store.close()


def test_the_percentiles_of_many_calls_are_those_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    index = Index(store.database)
    store.add([{**event(str(at)), "start_time": 1e12 + at, "duration": float(at)} for at in range(1, 1001)], 1e12)
    index.catch_up(summaries_only=True)
    monkeypatch.setattr(_measures, "_SAMPLE", 100)
    with store.database.read() as connection:
        everything = overview(connection, Filter(), 1e12)
        some = overview(connection, Filter(duration_max=300.0), 1e12)  # so few of all that each is looked at
    for taken, calls, every in ((everything, 1000, 10), (some, 300, 3)):
        assert (taken.sums.calls, taken.sampled) == (calls, every)
        assert taken.durations.p50 == pytest.approx(calls * 0.5, abs=2 * every)
        assert taken.durations.p99 == pytest.approx(calls * 0.99, abs=2 * every)
    store.close()


def test_the_overview_is_the_same_from_the_sums_of_minutes_and_from_the_events() -> None:
    store = Store()
    index = Index(store.database)
    now_ms = 1_700_000_000_000.0
    events = [
        {
            **event(
                str(at),
                status="failure" if at % 7 == 0 else "success",
                cost=at / 8,
                prompt_tokens=at,
                completion_tokens=1,
            ),
            "start_time": now_ms - at * 41_000.0,
            "config": {"model": "a" if at % 3 else "b"} if at % 5 else {},
            "event_type": "chain" if at % 11 == 0 else "model",
        }
        for at in range(300)
    ]
    store.add(events, now_ms)
    index.catch_up()
    store.put([{**events[4], "config": {"model": "c"}}], now_ms)
    index.catch_up()
    ids = tuple(str(one["metadata"]["status"]) for one in events)
    with store.database.read() as connection:
        for last in (None, "1h", "2h"):
            fast = overview(connection, Filter(last=last), now_ms)
            slow = overview(connection, Filter(last=last, status=tuple(set(ids))), now_ms)
            assert fast == slow and fast.sums.calls > 50
            assert {row.model for row in fast.models} == {"a", "b", "c", None}
    store.close()


def test_words_are_found_in_every_script(tmp_path: Path) -> None:
    store = Store()
    index = Index(store.database)
    store.add([event("東京タワーに行きたい"), event("Größe ÉCOLE"), event("كم مرة")], 1.0)
    index.catch_up()
    for word, question in (
        ("タワー", "東京タワーに行きたい"),
        ("grosse ecole", None),
        ("größe", "Größe ÉCOLE"),
        ("مرة", "كم مرة"),
    ):
        assert found(store, index, q=word) == ([] if question is None else [question])
    store.close()


def test_an_index_of_other_rules_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "local.db")
    Index(store.database)
    store.add([event("kept")], 1.0)
    Index(store.database).catch_up()
    monkeypatch.setattr(_index, "EXTRACTION", 10_000)
    index = Index(store.database)
    assert index.lag().summaries == 1
    index.catch_up()
    assert found(store, index, q="kept") == ["kept"]
    store.close()


def test_clearing_leaves_nothing_and_what_comes_later_is_indexed() -> None:
    store = Store()
    index = Index(store.database)
    store.add([event("before", tags=["t"])], 1.0)
    index.catch_up()
    index.clear()
    assert store.events() == [] and facets(store) == {} and found(store, index, q="before") == []
    store.add([event("after")], 2.0)
    index.catch_up()
    assert found(store, index) == ["after"] and found(store, index, q="after") == ["after"]
    store.close()


@pytest.mark.parametrize("lacks", [(_index,), (_index, _migrations), (_migrations,)], ids=["now", "always", "once"])
def test_without_full_text_the_stored_json_is_searched(monkeypatch: pytest.MonkeyPatch, lacks: Tuple[Any, ...]) -> None:
    """This SQLite may lack FTS5, or the one that made the database."""
    for module in lacks:
        monkeypatch.setattr(module, "has_full_text", lambda connection: False)
    store = Store()
    index = Index(store.database)
    assert not index.has_full_text
    store.add([event("100% honey"), event("100 percent_")], 1.0)
    index.catch_up()
    assert found(store, index, q="100%") == ["100% honey"]
    assert found(store, index, q="percent_ -honey") == ["100 percent_"]
    store.close()


def test_the_thread_indexes_what_was_stored_and_what_comes(tmp_path: Path) -> None:
    store = Store(tmp_path / "local.db")
    index = Index(store.database)
    helpings: List[int] = []
    indexer = Indexer(index, lambda: helpings.append(1))
    store.add([event(f"early {number}") for number in range(250)], 1.0)
    indexer.start()
    until(lambda: index.lag() == Lag(0, 0), what=index.lag)
    store.add([event("late")], 2.0)
    indexer.notify()
    until(lambda: found(store, index, q="late"), what="the late event in the index")
    assert len(helpings) >= 4
    indexer.close()
    store.close()


def test_the_thread_says_once_that_it_stands_still_and_goes_on_after_the_trouble(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "local.db")
    index = Index(store.database)
    other = sqlite3.connect(tmp_path / "local.db", isolation_level=None)
    other.execute("ALTER TABLE tags RENAME TO put_away")
    store.add([event("kept waiting", tags=["t"])], 1.0)
    indexer = Indexer(index)
    indexer.start()
    until(lambda: "stands still: no such table" in caplog.text, what=lambda: caplog.text)
    other.execute("ALTER TABLE put_away RENAME TO tags")
    other.close()
    indexer.notify()
    until(lambda: found(store, index, tag=("t",)), what="the event in the index")
    indexer.close()
    logged = [vars(record)["event_code"] for record in caplog.records if record.levelno == logging.WARNING]
    assert logged == [LogCode.COLLECTOR_INDEX_STALLED.code]
    store.close()


def test_what_fails_while_the_thread_is_closed_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    index = Index(store.database)
    announced: List[int] = []

    def announce() -> None:
        announced.append(1)
        indexer.close()  # on the thread itself, which cannot wait for itself
        announced.append(2)

    indexer = Indexer(index, announce)
    store.add([event("last")], 1.0)
    indexer.start()
    until(lambda: announced)
    indexer.close()
    assert announced == [1] and caplog.records == []
    store.close()


def test_an_indexer_that_never_started_is_closed_at_once_and_leaves_all_to_the_next() -> None:
    store = Store()
    index = Index(store.database)
    store.add([event("kept")], 1.0)
    idle = Indexer(index)
    idle.notify()
    idle.close()
    assert index.lag().summaries == 1
    following = Indexer(index)
    following.start()
    until(lambda: index.lag() == Lag(0, 0), what=index.lag)
    following.close()
    store.close()


def test_while_events_pour_in_they_are_indexed_and_the_list_comes_first() -> None:
    store = Store()
    index = Index(store.database)
    store.add([event(f"number {at}") for at in range(120)], 1.0)
    helpings: List[Lag] = []
    indexer = Indexer(index, lambda: helpings.append(index.lag()))
    indexer.start()

    def pour() -> bool:
        indexer.notify(500)
        return index.lag().summaries == 0

    until(pour, what=index.lag)
    until(lambda: index.lag() == Lag(0, 0), what=index.lag)
    indexer.close()
    search = 120 if index.has_full_text else 0
    assert helpings[:2] == [Lag(20, search), Lag(0, search)]
    store.close()
