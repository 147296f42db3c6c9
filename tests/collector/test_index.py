"""The index of the pages: it follows the records, whatever becomes of them, and can be made again."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from honeyhive_litellm.collector import _index
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


def test_without_full_text_the_stored_json_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    monkeypatch.setattr(_index, "has_full_text", lambda connection: False)
    index = Index(store.database)
    assert not index.has_full_text
    store.add([event("100% honey"), event("100 percent_")], 1.0)
    index.catch_up()
    assert found(store, index, q="100%") == ["100% honey"]
    assert found(store, index, q="percent_ -honey") == ["100 percent_"]
    store.close()


def test_the_thread_indexes_what_was_stored_and_survives_a_trouble(tmp_path: Path) -> None:
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
